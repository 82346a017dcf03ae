//===- Machine.h - The emulated multiprocessor ------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One block runs at a time. Its threads are fibers; a collective instruction of
// a warp or warpgroup waits until the last of its threads is there.
// Asynchronous work (copies, warpgroup matrix products) is an agent of its own
// beside the warps: it has a clock, and it may run any time until somebody
// waits for it.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_EMULATOR_MACHINE_H
#define REPO_LIB_EMULATOR_MACHINE_H

#include "repo/Emulator/emulator.h"
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace repo::emulator {

constexpr unsigned warpSize = 32, warpgroupSize = 128, maxThreads = 1024;
/// Shared memory of a block, with what the system keeps at its start.
constexpr uint32_t sharedBytes = 228 << 10, reservedBytes = 1 << 10;

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

struct Thread {
  unsigned index = 0, lane = 0, warp = 0;
  void *stack = nullptr; ///< The saved stack pointer.
  bool done = false;
  const char *waitsIn = nullptr; ///< The instruction it waits in.
  uint64_t operand = 0;          ///< Barrier or address it waits at.
  /// Number of memory orderings within the warp so far.
  uint32_t order = 0;
};

/// Threads of a warp or warpgroup that execute one instruction together.
struct Collective {
  const char *instruction = nullptr;
  uint32_t mask = 0;
  unsigned count = 0;
  void *arguments[warpgroupSize] = {};
};

/// Clocks of all agents, as one of them knows them.
using Clocks = std::vector<uint32_t>;

/// An asynchronous agent at work: what it knows of others, and its own clock.
struct Agent {
  unsigned index;
  uint32_t time;
  Clocks clocks;
};

struct NamedBarrier {
  unsigned count = 0, expected = 0, votes = 0, result = 0;
  std::vector<unsigned> waiting;
  Clocks clocks, released;
};

struct PhaseBarrier {
  uint32_t expected = 0, pending = 0, phase = 0;
  int64_t bytes = 0; ///< Still to come in this phase.
  unsigned agent = 0;
  uint32_t time = 0; ///< Of its agent.
  // Who made it, and whether asynchronous copies may use it.
  unsigned initWarp = 0, initLane = 0;
  uint32_t initTime = 0, initOrder = 0;
  bool fenced = false;
  std::vector<unsigned> waiting;
  Clocks clocks, released;
};

/// Work that runs later. `barrier`: where its bytes are counted, or 0.
struct Pending {
  uint32_t barrier;
  unsigned thread; ///< Who started it.
  std::function<void()> run;
};

/// Asynchronous copies of a thread, in groups.
struct CopyGroups {
  struct Group {
    uint32_t time;
    std::vector<std::function<void()>> copies;
  };
  std::vector<std::function<void()>> open;
  std::deque<Group> groups;
  uint32_t time = 1; ///< The clock of copies that start now.
};

struct MatrixGroups;
struct Shadow;

//===----------------------------------------------------------------------===//
// The machine
//===----------------------------------------------------------------------===//

class Machine {
public:
  Machine();
  ~Machine();

  /// Runs a grid; false, with a text in `error`, where a kernel did wrong.
  bool launch(const repo_emulator_kernel &kernel, void **parameters,
              const unsigned *grid, const unsigned *block,
              unsigned dynamicShared);

  // Fibers (Fibers.cpp).
  /// Lets others run; this thread can go on at any time.
  void yield();
  /// As yield, but only under adversarial orders.
  void mayYield() {
    if (seed)
      yield();
  }
  /// Stops this thread until `wake`.
  void park(const char *instruction, uint64_t operand);
  void wake(unsigned thread);
  [[noreturn]] void fail(const char *format, ...)
      __attribute__((format(printf, 2, 3)));
  /// Executes `run` in the last thread of `need` to come, with the arguments of
  /// all; `first` is the number of the first thread.
  template <typename T>
  void gather(Collective &group, unsigned lane, unsigned need, unsigned first,
              uint32_t mask, const char *instruction, T &mine,
              const std::function<void(T **)> &run);
  /// The same for a warp, all lanes of `mask`.
  template <typename T>
  void gatherWarp(const char *instruction, uint32_t mask, T &mine,
                  const std::function<void(T **)> &run) {
    unsigned first = current->index & ~(warpSize - 1);
    checkMask(instruction, mask);
    gather(warps[current->warp], current->lane, __builtin_popcount(mask), first,
           mask, instruction, mine, run);
  }
  void checkMask(const char *instruction, uint32_t mask);
  /// A number below `bound` that the seed decides.
  unsigned draw(unsigned bound) {
    return bound ? unsigned(random() % bound) : 0;
  }
  bool isLate() const { return seed % 2 == 1; }
  bool isEager() const { return seed == 0; }

  // Order of memory accesses (Races.cpp).
  void join(Clocks &into, const Clocks &from);
  /// What both know.
  void meet(Clocks &into, const Clocks &from);
  void release(Clocks &into);
  void acquire(const Clocks &from);
  /// Orders accesses of the lanes of a warp: a thread that came behind others
  /// of its warp at a barrier they all pass catches up with them.
  void orderLane(Thread &thread) {
    uint32_t &latest = warpOrder[thread.warp];
    thread.order = latest = std::max(thread.order + 1, latest);
  }
  void orderLane() { orderLane(*current); }
  /// Orders all that a warp's threads did before all they will do, where
  /// `threads` meet at a barrier.
  template <typename Range> void orderLanes(const Range &indices) {
    uint32_t done = 0;
    for (unsigned index : indices)
      done |= 1u << threads[index].warp;
    for (unsigned warp = 0; warp != numWarps; ++warp)
      warpOrder[warp] += done >> warp & 1;
    for (unsigned index : indices)
      threads[index].order = warpOrder[threads[index].warp];
  }
  /// Each thread's copies are an agent: one waits for its own alone.
  unsigned copyAgent(unsigned thread) const { return firstCopyAgent + thread; }
  unsigned storeAgent(unsigned warp) const { return numWarps + warp; }
  unsigned matrixAgent(unsigned group) const { return 2 * numWarps + group; }
  unsigned newBarrierAgent();
  /// An asynchronous agent that starts now; `time` is its clock.
  Agent startAgent(unsigned index, uint32_t time);
  /// This thread learns that an agent has come to `time`.
  void learn(unsigned agent, uint32_t time);
  enum class Access { read, write, asyncRead, asyncWrite, copyWrite };
  /// Records and checks an access; one of the current thread without `agent`.
  void accessShared(uint32_t address, uint32_t bytes, Access access,
                    const char *what, const Agent *agent = nullptr);
  void fenceProxy();
  void startShadow();

  // Memory (Memory.cpp).
  bool isShared(uint64_t address) const {
    return address - sharedBase < sharedBytes + 4096;
  }
  /// Checks that shared memory is there, and aligned.
  void checkShared(uint32_t address, uint32_t bytes, uint32_t alignment,
                   const char *what);
  void checkGlobal(uint64_t address, uint64_t bytes, uint32_t alignment,
                   const char *what);
  bool isFiberStack(uint64_t address) const {
    return address - reinterpret_cast<uint64_t>(stacks) < stacksBytes;
  }

  // Asynchronous work (Copies.cpp, WarpgroupMatrix.cpp).
  /// Runs something that is pending; false where there is nothing.
  bool deliver();
  void startCopies();
  /// What a block must not leave behind, or "".
  std::string describeLeftovers();
  PhaseBarrier &getPhaseBarrier(uint32_t address, const char *what);
  /// Counts bytes that a copy has written.
  void completeBytes(uint32_t barrier, int64_t bytes, const Agent &agent);
  void checkPhase(PhaseBarrier &barrier);

  // State of the launch.
  const repo_emulator_kernel *kernel = nullptr;
  void **parameters = nullptr;
  unsigned grid[3] = {}, block[3] = {}, blockIndex[3] = {};
  unsigned numThreads = 0, numWarps = 0, dynamicShared = 0;
  /// Which device runs.
  int device = 0;
  uint32_t sharedBase = 0, sharedEnd = 0;
  unsigned seed = 0;
  bool checks = true;
  std::string error;

  // State of the block.
  Thread *current = nullptr;
  std::vector<Thread> threads;
  std::vector<Collective> warps, groups;
  std::vector<NamedBarrier> barriers;
  std::map<uint32_t, PhaseBarrier> phaseBarriers;
  std::deque<Pending> pending;
  std::vector<CopyGroups> copies;     ///< cp.async, of every thread.
  std::vector<CopyGroups> bulkStores; ///< bulk stores, of every thread.
  std::shared_ptr<MatrixGroups> matrices;
  std::shared_ptr<Shadow> shadow;
  std::vector<Clocks> knows;       ///< What every warp knows.
  std::vector<uint32_t> warpOrder; ///< The latest order of a thread of a warp.
  static constexpr unsigned maxBarriers = 128;
  unsigned numAgents = 0, numBarrierAgents = 0, firstCopyAgent = 0;

private:
  bool runBlock();
  bool hasRunnable() const { return !runnable.empty() || !shuffled.empty(); }
  unsigned pick();
  void next();
  static void enter();

  std::deque<unsigned> runnable;
  std::vector<unsigned> shuffled;
  void *scheduler = nullptr;
  unsigned live = 0;
  uint64_t idleYields = 0;
  bool failed = false;
  char *stacks = nullptr;
  size_t stacksBytes = 0;
  std::mt19937 random;
};

/// The only machine; a launch holds it.
extern Machine *machine;

template <typename T>
void Machine::gather(Collective &group, unsigned lane, unsigned need,
                     unsigned first, uint32_t mask, const char *instruction,
                     T &mine, const std::function<void(T **)> &run) {
  if (group.count && (group.instruction != instruction || group.mask != mask))
    fail("executes %s while others of its warp execute %s", instruction,
         group.instruction);
  group.instruction = instruction;
  group.mask = mask;
  group.arguments[lane] = &mine;
  if (++group.count != need)
    return park(instruction, first);
  run(reinterpret_cast<T **>(group.arguments));
  group.count = 0;
  for (unsigned i = 0; i != (need > warpSize ? need : warpSize); ++i)
    if (first + i != current->index && (need > warpSize || mask >> i & 1))
      wake(first + i);
}

} // namespace repo::emulator

#endif // REPO_LIB_EMULATOR_MACHINE_H
