//===- Barriers.cpp - Barriers of blocks, warps and phases ----------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Machine.h"

using namespace repo::emulator;

//===----------------------------------------------------------------------===//
// bar.sync, bar.arrive, bar.red
//===----------------------------------------------------------------------===//

static NamedBarrier &arriveAt(Machine &m, int32_t id, int32_t count,
                              const char *what) {
  if (uint32_t(id) >= 16)
    m.fail("%s: expected a barrier from 0 to 15, got %d", what, id);
  if (count % int(warpSize) != 0 || count < 0 || unsigned(count) > maxThreads)
    m.fail("%s %d: expected a number of threads that is a multiple of 32, got "
           "%d",
           what, id, count);
  NamedBarrier &barrier = m.barriers[id];
  unsigned expected = count ? unsigned(count) : m.numThreads;
  if (barrier.count && barrier.expected != expected)
    m.fail("%s %d: expects %u threads, others expect %u", what, id, expected,
           barrier.expected);
  barrier.expected = expected;
  m.release(barrier.clocks);
  ++barrier.count;
  return barrier;
}

/// Lets the threads at a complete barrier go on.
static bool completes(Machine &m, NamedBarrier &barrier) {
  if (barrier.count != barrier.expected)
    return false;
  m.orderLanes(barrier.waiting);
  for (unsigned thread : barrier.waiting) {
    m.join(m.knows[m.threads[thread].warp], barrier.clocks);
    m.wake(thread);
  }
  barrier.released = std::move(barrier.clocks);
  barrier.clocks.clear();
  barrier.waiting.clear();
  barrier.count = 0;
  barrier.result = barrier.votes;
  barrier.votes = 0;
  return true;
}

static unsigned synchronize(int32_t id, int32_t count, bool vote,
                            const char *what) {
  Machine &m = *machine;
  NamedBarrier &barrier = arriveAt(m, id, count, what);
  barrier.votes += vote;
  if (completes(m, barrier)) {
    m.acquire(barrier.released);
    m.mayYield();
  } else {
    barrier.waiting.push_back(m.current->index);
    m.park(what, uint64_t(id));
  }
  return barrier.result;
}

void repo_emulator_barrier_sync(int32_t id, int32_t count) {
  synchronize(id, count, false, "bar.sync");
}

int32_t repo_emulator_barrier_reduce(int32_t id, int32_t count, int32_t vote) {
  return int32_t(synchronize(id, count, vote != 0, "bar.red"));
}

void repo_emulator_barrier_arrive(int32_t id, int32_t count) {
  Machine &m = *machine;
  if (count == 0)
    m.fail("bar.arrive %d: expected a number of threads", id);
  completes(m, arriveAt(m, id, count, "bar.arrive"));
  m.mayYield();
}

//===----------------------------------------------------------------------===//
// mbarrier
//===----------------------------------------------------------------------===//

PhaseBarrier &Machine::getPhaseBarrier(uint32_t address, const char *what) {
  checkShared(address, 8, 8, what);
  auto it = phaseBarriers.find(address);
  if (it == phaseBarriers.end())
    fail("%s at %#x: expected mbarrier.init of it before", what, address);
  PhaseBarrier &barrier = it->second;
  const Clocks &known = knows[current->warp];
  bool ordered = barrier.initWarp == current->warp
                     ? barrier.initLane == current->lane ||
                           barrier.initOrder < current->order
                     : barrier.initTime <= known[barrier.initWarp];
  if (checks && !ordered)
    fail("race: %s at %#x is not ordered after mbarrier.init by warp %u", what,
         address, barrier.initWarp);
  return barrier;
}

void Machine::checkPhase(PhaseBarrier &barrier) {
  if (barrier.pending || barrier.bytes)
    return;
  ++barrier.phase;
  barrier.pending = barrier.expected;
  join(barrier.released, barrier.clocks);
  for (unsigned thread : barrier.waiting) {
    join(knows[threads[thread].warp], barrier.released);
    orderLane(threads[thread]);
    wake(thread);
  }
  barrier.waiting.clear();
  idleYields = 0;
}

void Machine::completeBytes(uint32_t address, int64_t bytes,
                            const Agent &agent) {
  auto it = phaseBarriers.find(address);
  if (it == phaseBarriers.end())
    fail("a bulk copy completes at %#x: there is no mbarrier any more",
         address);
  PhaseBarrier &barrier = it->second;
  join(barrier.clocks, agent.clocks);
  uint32_t &time = barrier.clocks[agent.index];
  time = std::max(time, agent.time);
  barrier.bytes -= bytes;
  checkPhase(barrier);
}

static void arrive(Machine &m, PhaseBarrier &barrier, uint32_t address,
                   uint32_t count) {
  if (count > barrier.pending)
    m.fail("mbarrier.arrive at %#x: %u arrivals in a phase that waits for %u "
           "more (of %u)",
           address, count, barrier.pending, barrier.expected);
  m.release(barrier.clocks);
  barrier.pending -= count;
  m.checkPhase(barrier);
}

void repo_emulator_mbarrier_init(uint32_t address, int32_t count) {
  Machine &m = *machine;
  m.checkShared(address, 8, 8, "mbarrier.init");
  if (count <= 0 || count >= 1 << 20)
    m.fail("mbarrier.init at %#x: expected a count from 1 to 2^20 - 1, got %d",
           address, count);
  auto [it, inserted] = m.phaseBarriers.try_emplace(address);
  if (!inserted)
    m.fail("mbarrier.init at %#x: expected mbarrier.inval of the one that is "
           "there",
           address);
  PhaseBarrier &barrier = it->second;
  barrier.expected = barrier.pending = uint32_t(count);
  barrier.agent = m.newBarrierAgent();
  barrier.initWarp = m.current->warp;
  barrier.initLane = m.current->lane;
  barrier.initOrder = m.current->order;
  barrier.initTime = m.knows[m.current->warp][m.current->warp];
}

void repo_emulator_mbarrier_inval(uint32_t address) {
  Machine &m = *machine;
  PhaseBarrier &barrier = m.getPhaseBarrier(address, "mbarrier.inval");
  if (!barrier.waiting.empty())
    m.fail("mbarrier.inval at %#x: %zu threads wait there", address,
           barrier.waiting.size());
  m.phaseBarriers.erase(address);
}

uint64_t repo_emulator_mbarrier_arrive(uint32_t address, int32_t count) {
  Machine &m = *machine;
  PhaseBarrier &barrier = m.getPhaseBarrier(address, "mbarrier.arrive");
  uint64_t state = barrier.phase;
  arrive(m, barrier, address, uint32_t(count));
  m.mayYield();
  return state;
}

void repo_emulator_mbarrier_expect(uint32_t address, int32_t bytes) {
  Machine &m = *machine;
  PhaseBarrier &barrier = m.getPhaseBarrier(address, "mbarrier.expect_tx");
  barrier.bytes += bytes;
}

void repo_emulator_mbarrier_complete(uint32_t address, int32_t bytes) {
  Machine &m = *machine;
  PhaseBarrier &barrier = m.getPhaseBarrier(address, "mbarrier.complete_tx");
  barrier.bytes -= bytes;
  m.checkPhase(barrier);
}

/// Whether the phase has come to its end; then what happened before it is
/// known.
static bool test(Machine &m, PhaseBarrier &barrier, uint64_t state,
                 int32_t isParity) {
  bool done = isParity ? (barrier.phase & 1) != (state & 1)
                       : barrier.phase != uint32_t(state);
  if (done)
    m.acquire(barrier.released);
  return done;
}

int32_t repo_emulator_mbarrier_test(uint32_t address, uint64_t state,
                                    int32_t isParity) {
  Machine &m = *machine;
  PhaseBarrier &barrier = m.getPhaseBarrier(address, "mbarrier.test_wait");
  if (test(m, barrier, state, isParity))
    return 1;
  m.yield();
  return 0;
}

int32_t repo_emulator_mbarrier_try(uint32_t address, uint64_t state,
                                   int32_t isParity) {
  Machine &m = *machine;
  PhaseBarrier &barrier = m.getPhaseBarrier(address, "mbarrier.try_wait");
  while (!test(m, barrier, state, isParity)) {
    // The hardware's wait is bounded: it may give up.
    if (m.seed && m.draw(8) == 0) {
      m.yield();
      return 0;
    }
    barrier.waiting.push_back(m.current->index);
    m.park("mbarrier.try_wait", address);
  }
  return 1;
}

void repo_emulator_fence(int32_t kind) {
  Machine &m = *machine;
  if (kind == REPO_EMULATOR_FENCE_PROXY)
    m.fenceProxy();
  for (auto &[address, barrier] : m.phaseBarriers)
    if (barrier.initWarp == m.current->warp &&
        barrier.initLane == m.current->lane)
      barrier.fenced = true;
}
