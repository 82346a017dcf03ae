//===- Fibers.cpp - Threads of a block as fibers --------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Machine.h"
#include <cstdarg>
#include <cstdio>
#include <sys/mman.h>

using namespace repo::emulator;

static constexpr size_t stackBytes = 256 << 10;

// Saves the callee's registers and the stack pointer to *from, and goes on at
// `to`. swapcontext would do, with two system calls each time.
extern "C" void repo_emulator_switch(void **from, void *to);
asm(R"(
  .text
  .hidden repo_emulator_switch
  .globl repo_emulator_switch
  .type repo_emulator_switch, @function
repo_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size repo_emulator_switch, .-repo_emulator_switch
)");

void Machine::enter() {
  Machine &m = *machine;
  m.kernel->run(m.parameters);
  m.current->done = true;
  --m.live;
  m.idleYields = 0;
  m.next();
  __builtin_unreachable();
}

unsigned Machine::pick() {
  unsigned index;
  if (seed) {
    std::swap(shuffled[draw(unsigned(shuffled.size()))], shuffled.back());
    index = shuffled.back();
    shuffled.pop_back();
  } else {
    index = runnable.front();
    runnable.pop_front();
  }
  return index;
}

/// Switches to a thread that can run, or back to the scheduler. Where there is
/// none, asynchronous work gets on.
void Machine::next() {
  void **save = &current->stack;
  while (!failed && !hasRunnable() && deliver())
    ;
  void *target = scheduler;
  if (!failed && hasRunnable()) {
    Thread *thread = &threads[pick()];
    if (thread == current)
      return;
    current = thread;
    target = current->stack;
  }
  repo_emulator_switch(save, target);
}

void Machine::wake(unsigned thread) {
  threads[thread].waitsIn = nullptr;
  idleYields = 0;
  if (seed)
    shuffled.push_back(thread);
  else
    runnable.push_back(thread);
}

void Machine::park(const char *instruction, uint64_t operand) {
  current->waitsIn = instruction;
  current->operand = operand;
  next();
}

void Machine::yield() {
  // Whoever polls must not wait for work that nobody lets run.
  uint64_t idle = idleYields + 1;
  if ((seed && !isLate() && draw(4) == 0) || idle > 4 * numThreads)
    if (deliver())
      idle = 0;
  if (idle > 2000 * uint64_t(numThreads))
    fail("polls without end: no thread of the block gets on");
  wake(current->index);
  idleYields = idle;
  next();
}

void Machine::fail(const char *format, ...) {
  char text[512];
  va_list list;
  va_start(list, format);
  std::vsnprintf(text, sizeof text, format, list);
  va_end(list);
  char where[256];
  std::snprintf(
      where, sizeof where,
      "emulator: kernel `%s`, block (%u, %u, %u), thread %u: ", kernel->name,
      blockIndex[0], blockIndex[1], blockIndex[2], current->index);
  if (!failed)
    error = std::string(where) + text;
  failed = true;
  void *ignored;
  repo_emulator_switch(&ignored, scheduler);
  __builtin_unreachable();
}

/// What the threads of a block that cannot go on wait for.
static std::string describeWaits(const std::vector<Thread> &threads) {
  std::map<std::pair<std::string, uint64_t>, std::pair<unsigned, unsigned>>
      waits;
  for (const Thread &thread : threads) {
    std::string what = thread.done ? "have left" : thread.waitsIn;
    auto [it, inserted] = waits.try_emplace(
        {what, thread.done ? 0 : thread.operand}, 0u, thread.index);
    ++it->second.first;
  }
  std::string text;
  for (auto &[key, value] : waits) {
    char part[160];
    if (key.first == "have left")
      std::snprintf(part, sizeof part, "%u have left", value.first);
    else
      std::snprintf(part, sizeof part, "%u wait at %s %#llx (first: %u)",
                    value.first, key.first.c_str(),
                    static_cast<unsigned long long>(key.second), value.second);
    text += (text.empty() ? "" : ", ") + std::string(part);
  }
  return text;
}

/// Runs the threads of a block from its start to their end.
bool Machine::runBlock() {
  if (!stacks) {
    stacksBytes = stackBytes * maxThreads;
    void *memory = mmap(nullptr, stacksBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      error = "emulator: no memory for the stacks of a block";
      return false;
    }
    stacks = static_cast<char *>(memory);
  }
  runnable.clear();
  shuffled.clear();
  idleYields = 0;
  failed = false;
  live = numThreads;
  threads.assign(numThreads, Thread());
  for (unsigned i = 0; i != numThreads; ++i) {
    Thread &thread = threads[i];
    thread.index = i;
    thread.lane = i % warpSize;
    thread.warp = i / warpSize;
    // The stack as repo_emulator_switch leaves it: six registers, then where to
    // return to; behind that, the stack is aligned as at a function's entry.
    auto *top =
        reinterpret_cast<uint64_t *>(stacks + (i + 1) * stackBytes - 64);
    *--top = 0;
    *--top = reinterpret_cast<uint64_t>(&Machine::enter);
    for (int r = 0; r != 6; ++r)
      *--top = 0;
    thread.stack = top;
    wake(i);
  }
  current = &threads[pick()];
  repo_emulator_switch(&scheduler, current->stack);
  if (failed)
    return false;
  char where[160];
  std::snprintf(where, sizeof where,
                "emulator: kernel `%s`, block (%u, %u, %u): ", kernel->name,
                blockIndex[0], blockIndex[1], blockIndex[2]);
  if (live)
    error = where + ("no thread can go on: " + describeWaits(threads));
  else if (std::string left = describeLeftovers(); !left.empty())
    error = where + left;
  return error.empty();
}

bool Machine::launch(const repo_emulator_kernel &launched, void **arguments,
                     const unsigned *gridSize, const unsigned *blockSize,
                     unsigned dynamicBytes) {
  kernel = &launched;
  parameters = arguments;
  dynamicShared = dynamicBytes;
  numThreads = blockSize[0] * blockSize[1] * blockSize[2];
  numWarps = (numThreads + warpSize - 1) / warpSize;
  for (int i = 0; i != 3; ++i) {
    grid[i] = gridSize[i];
    block[i] = blockSize[i];
  }
  const char *order = std::getenv("REPO_EMULATOR_ORDER");
  seed = order ? unsigned(std::atoi(order)) : 0;
  const char *unchecked = std::getenv("REPO_EMULATOR_UNCHECKED");
  checks = !unchecked || !*unchecked;
  random.seed(seed);
  error.clear();

  uint64_t blocks = uint64_t(grid[0]) * grid[1] * grid[2];
  std::vector<uint64_t> sequence(blocks);
  for (uint64_t i = 0; i != blocks; ++i)
    sequence[i] = i;
  if (seed)
    std::shuffle(sequence.begin(), sequence.end(), random);
  for (uint64_t index : sequence) {
    blockIndex[0] = unsigned(index % grid[0]);
    blockIndex[1] = unsigned(index / grid[0] % grid[1]);
    blockIndex[2] = unsigned(index / grid[0] / grid[1]);
    warps.assign(numWarps, Collective());
    groups.assign((numThreads + warpgroupSize - 1) / warpgroupSize,
                  Collective());
    barriers.assign(16, NamedBarrier());
    startShadow();
    startCopies();
    if (!runBlock())
      return false;
  }
  return true;
}
