//===- Races.cpp - Order of accesses to shared memory ---------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Happens-before by vector clocks: every agent (a warp, the copies of a warp,
// the products of a warpgroup, what completes at one mbarrier) has a clock, and
// barriers hand on what an agent knows of the others. Shared memory is watched
// in chunks of 16 bytes, split to 2 bytes where accesses are smaller. Two
// accesses, one of them a write, that no chain of barriers orders are an error,
// whatever the order they ran in this time.
//
//===----------------------------------------------------------------------===//

#include "Machine.h"
#include <algorithm>

using namespace repo::emulator;

namespace {
constexpr unsigned chunkBytes = 16, partBytes = 2, maxReaders = 8;
constexpr uint16_t nobody = 0xffff;
/// Stands for all lanes, or for an agent that has none.
constexpr uint8_t noLane = 0xff;

struct Mark {
  uint32_t clock = 0, order = 0;
  uint16_t agent = nobody;
  uint8_t lane = noLane;
};

struct Cell {
  Mark write;
  /// Written, and not yet fenced for the asynchronous proxy.
  bool dirty = false;
  uint8_t numReaders = 0, victim = 0;
  Mark readers[maxReaders];
};

struct Chunk {
  uint32_t block = 0; ///< The block that the contents are of.
  std::unique_ptr<Cell[]> parts;
  Cell whole;
};
} // namespace

struct repo::emulator::Shadow {
  uint32_t block = 0;
  std::vector<Chunk> chunks{(sharedBytes + chunkBytes) / chunkBytes + 1};
  std::vector<uint32_t> dirty;
};

void Machine::startShadow() {
  if (!shadow)
    shadow = std::make_shared<Shadow>();
  ++shadow->block;
  shadow->dirty.clear();
  numBarrierAgents = 0;
  firstCopyAgent = 2 * numWarps + unsigned(groups.size()) + maxBarriers;
  numAgents = firstCopyAgent + numThreads;
  knows.assign(numWarps, Clocks(numAgents, 0));
  warpOrder.assign(numWarps, 0);
  for (unsigned i = 0; i != numWarps; ++i)
    knows[i][i] = 1;
}

unsigned Machine::newBarrierAgent() {
  if (numBarrierAgents == maxBarriers)
    fail("expected at most %u mbarriers in a block", maxBarriers);
  return 2 * numWarps + unsigned(groups.size()) + numBarrierAgents++;
}

void Machine::join(Clocks &into, const Clocks &from) {
  if (into.size() < from.size())
    into.resize(from.size(), 0);
  for (size_t i = 0, e = from.size(); i != e; ++i)
    into[i] = std::max(into[i], from[i]);
}

void Machine::meet(Clocks &into, const Clocks &from) {
  for (size_t i = 0, e = into.size(); i != e; ++i)
    into[i] = std::min(into[i], i < from.size() ? from[i] : 0);
}

void Machine::release(Clocks &into) {
  Clocks &mine = knows[current->warp];
  join(into, mine);
  ++mine[current->warp];
}

void Machine::acquire(const Clocks &from) {
  join(knows[current->warp], from);
  orderLane();
}

Agent Machine::startAgent(unsigned index, uint32_t time) {
  Clocks &mine = knows[current->warp];
  Agent agent{index, time, mine};
  ++mine[current->warp];
  return agent;
}

void Machine::learn(unsigned agent, uint32_t time) {
  uint32_t &known = knows[current->warp][agent];
  known = std::max(known, time);
}

/// The parts of a chunk from one byte to another, or the whole.
template <typename Function>
static void forEachCell(Chunk &chunk, uint32_t from, uint32_t to,
                        Function function) {
  if (from == 0 && to == chunkBytes && !chunk.parts)
    return function(chunk.whole);
  if (!chunk.parts) {
    chunk.parts = std::make_unique<Cell[]>(chunkBytes / partBytes);
    for (unsigned i = 0; i != chunkBytes / partBytes; ++i)
      chunk.parts[i] = chunk.whole;
  }
  for (uint32_t i = from / partBytes; i * partBytes < to; ++i)
    function(chunk.parts[i]);
}

void Machine::accessShared(uint32_t address, uint32_t bytes, Access access,
                           const char *what, const Agent *agent) {
  if (!checks || !bytes)
    return;
  bool isWrite = access == Access::write || access == Access::asyncWrite ||
                 access == Access::copyWrite;
  const Clocks &clocks = agent ? agent->clocks : knows[current->warp];
  Mark mark;
  if (agent) {
    mark.agent = uint16_t(agent->index);
    mark.clock = agent->time;
  } else {
    mark.agent = uint16_t(current->warp);
    mark.clock = clocks[current->warp];
    mark.lane = uint8_t(current->lane);
    mark.order = current->order;
  }
  auto isOrdered = [&](const Mark &other) {
    if (other.agent == nobody)
      return true;
    if (other.agent == mark.agent && !agent)
      return other.lane == mark.lane || other.order < mark.order;
    return other.clock <= clocks[other.agent];
  };
  auto describe = [&](const Mark &other) -> std::string {
    if (other.agent < numWarps)
      return "warp " + std::to_string(other.agent) +
             (other.lane == noLane ? ""
                                   : " lane " + std::to_string(other.lane));
    if (other.agent >= firstCopyAgent)
      return "cp.async of thread " +
             std::to_string(other.agent - firstCopyAgent);
    if (other.agent < 2 * numWarps)
      return "a bulk store of warp " + std::to_string(other.agent - numWarps);
    if (other.agent < 2 * numWarps + groups.size())
      return "wgmma of warpgroup " + std::to_string(other.agent - 2 * numWarps);
    return "a bulk copy";
  };
  uint32_t end = address + bytes - sharedBase;
  for (uint32_t begin = address - sharedBase; begin < end;) {
    uint32_t index = begin / chunkBytes, base = index * chunkBytes;
    uint32_t to = std::min(end - base, uint32_t(chunkBytes));
    Chunk &chunk = shadow->chunks[index];
    if (chunk.block != shadow->block) {
      chunk.block = shadow->block;
      chunk.parts.reset();
      chunk.whole = Cell();
    }
    forEachCell(chunk, begin - base, to, [&](Cell &cell) {
      if (!isOrdered(cell.write))
        fail("race: %s %s shared memory at %#x that %s writes; no barrier "
             "orders the two",
             what, isWrite ? "writes" : "reads", sharedBase + begin,
             describe(cell.write).c_str());
      if (access == Access::asyncRead && cell.dirty)
        fail("%s reads shared memory at %#x that %s wrote: expected "
             "fence.proxy.async between",
             what, sharedBase + begin, describe(cell.write).c_str());
      if (!isWrite) {
        for (unsigned i = 0; i != cell.numReaders; ++i)
          if (isOrdered(cell.readers[i])) {
            cell.readers[i] = mark;
            return;
          }
        if (cell.numReaders < maxReaders)
          cell.readers[cell.numReaders++] = mark;
        else
          cell.readers[cell.victim++ % maxReaders] = mark;
        return;
      }
      for (unsigned i = 0; i != cell.numReaders; ++i)
        if (!isOrdered(cell.readers[i]))
          fail("race: %s writes shared memory at %#x that %s reads; no barrier "
               "orders the two",
               what, sharedBase + begin, describe(cell.readers[i]).c_str());
      cell.numReaders = 0;
      cell.write = mark;
      bool dirty = access != Access::asyncWrite;
      if (dirty && !cell.dirty)
        shadow->dirty.push_back(index);
      cell.dirty = dirty;
    });
    begin = base + to;
  }
}

/// What this thread knows to be written becomes visible to the asynchronous
/// proxy.
void Machine::fenceProxy() {
  if (!checks)
    return;
  Clocks &mine = knows[current->warp];
  auto fence = [&](Cell &cell) {
    const Mark &write = cell.write;
    bool known =
        write.agent == current->warp
            ? write.lane == current->lane || write.order < current->order
            : write.clock <= mine[write.agent];
    if (cell.dirty && known)
      cell.dirty = false;
    return !cell.dirty;
  };
  std::vector<uint32_t> &dirty = shadow->dirty;
  auto isClean = [&](uint32_t index) {
    Chunk &chunk = shadow->chunks[index];
    if (!chunk.parts)
      return fence(chunk.whole);
    bool clean = true;
    for (unsigned i = 0; i != chunkBytes / partBytes; ++i)
      clean &= fence(chunk.parts[i]);
    return clean;
  };
  dirty.erase(std::remove_if(dirty.begin(), dirty.end(), isClean), dirty.end());
}
