//===- Copies.cpp - Asynchronous copies -----------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A copy may happen any time from its start to the wait for it. Under late
// orders it happens at the wait, and until then its destination holds NaNs.
//
//===----------------------------------------------------------------------===//

#include "Machine.h"
#include "MatrixGroups.h"
#include "TensorMap.h"
#include <algorithm>
#include <cstring>

using namespace repo::emulator;

using Access = Machine::Access;

void Machine::startCopies() {
  phaseBarriers.clear();
  pending.clear();
  copies.assign(numThreads, CopyGroups());
  bulkStores.assign(numThreads, CopyGroups());
  matrices = std::make_shared<MatrixGroups>();
  matrices->groups.resize(groups.size());
  std::memset(reinterpret_cast<void *>(uint64_t(sharedBase)), 0xff,
              sharedBytes);
}

bool Machine::deliver() {
  if (pending.empty())
    return deliverProduct(*this);
  // Late: first what somebody waits for.
  size_t index = seed ? draw(unsigned(pending.size())) : 0;
  if (isLate())
    for (size_t i = 0; i != pending.size(); ++i) {
      auto it = phaseBarriers.find(pending[i].barrier);
      if (it != phaseBarriers.end() && !it->second.waiting.empty()) {
        index = i;
        break;
      }
    }
  auto run = std::move(pending[index].run);
  pending.erase(pending.begin() + ptrdiff_t(index));
  run();
  return true;
}

std::string Machine::describeLeftovers() {
  if (!pending.empty())
    return "ends with " + std::to_string(pending.size()) +
           " bulk copies under way that nobody waits for";
  for (const MatrixGroup &group : matrices->groups)
    if (!group.products.empty())
      return "ends with wgmma products under way that nobody waits for";
  for (size_t i = 0; i != bulkStores.size(); ++i)
    if (!bulkStores[i].open.empty() || !bulkStores[i].groups.empty())
      return "ends with bulk stores of thread " + std::to_string(i) +
             " that it does not wait for";
  for (size_t i = 0; i != barriers.size(); ++i)
    if (barriers[i].count)
      return "ends with " + std::to_string(barriers[i].count) +
             " arrivals at barrier " + std::to_string(i) +
             " that nobody waits for";
  for (auto &[address, barrier] : phaseBarriers)
    if (barrier.bytes)
      return "ends with an mbarrier that " + std::to_string(barrier.bytes) +
             " bytes are still expected at";
  return "";
}

static void *pointer(uint32_t shared) {
  return reinterpret_cast<void *>(uint64_t(shared));
}

//===----------------------------------------------------------------------===//
// Groups
//===----------------------------------------------------------------------===//

static void commit(CopyGroups &groups) {
  groups.groups.push_back({groups.time++, std::move(groups.open)});
  groups.open.clear();
}

/// Runs all but the last `left` groups.
static void wait(Machine &m, CopyGroups &groups, size_t left, unsigned agent) {
  while (groups.groups.size() > left) {
    CopyGroups::Group group = std::move(groups.groups.front());
    groups.groups.pop_front();
    for (auto &copy : group.copies)
      copy();
    m.learn(agent, group.time);
  }
}

//===----------------------------------------------------------------------===//
// cp.async
//===----------------------------------------------------------------------===//

void repo_emulator_cp_async(uint32_t destination, const void *source,
                            int32_t bytes, int32_t sourceBytes) {
  Machine &m = *machine;
  m.checkShared(destination, uint32_t(bytes), uint32_t(bytes), "cp.async");
  if (sourceBytes < 0 || sourceBytes > bytes)
    m.fail("cp.async: expected a source of at most %d bytes, got %d", bytes,
           sourceBytes);
  if (uint64_t(source) % uint32_t(bytes))
    m.fail("cp.async from %p: expected an address that is a multiple of %d",
           source, bytes);
  if (sourceBytes)
    m.checkGlobal(uint64_t(source), uint64_t(sourceBytes), 1, "cp.async");
  CopyGroups &groups = m.copies[m.current->index];
  auto copy = [=, &m,
               agent =
                   m.startAgent(m.copyAgent(m.current->index), groups.time)] {
    m.accessShared(destination, uint32_t(bytes), Access::copyWrite, "cp.async",
                   &agent);
    std::memcpy(pointer(destination), source, size_t(sourceBytes));
    std::memset(static_cast<char *>(pointer(destination)) + sourceBytes, 0,
                size_t(bytes - sourceBytes));
  };
  if (m.isEager() || (!m.isLate() && m.draw(2)))
    return copy();
  std::memset(pointer(destination), 0xff, size_t(bytes));
  groups.open.push_back(copy);
}

void repo_emulator_cp_async_commit() {
  Machine &m = *machine;
  commit(m.copies[m.current->index]);
}

void repo_emulator_cp_async_wait(int32_t left) {
  Machine &m = *machine;
  CopyGroups &groups = m.copies[m.current->index];
  if (left < 0) {
    commit(groups);
    left = 0;
  }
  wait(m, groups, size_t(left), m.copyAgent(m.current->index));
  m.mayYield();
}

void repo_emulator_cp_async_arrive(uint32_t address, int32_t counts) {
  Machine &m = *machine;
  PhaseBarrier &barrier =
      m.getPhaseBarrier(address, "cp.async.mbarrier.arrive");
  if (!counts)
    ++barrier.pending;
  else if (!barrier.pending)
    m.fail("cp.async.mbarrier.arrive at %#x: an arrival in a phase that waits "
           "for none",
           address);
  CopyGroups &groups = m.copies[m.current->index];
  uint32_t time = groups.time;
  commit(groups);
  unsigned thread = m.current->index, index = m.copyAgent(m.current->index);
  Agent agent = m.startAgent(index, time);
  auto arrive = [=, &m] {
    CopyGroups &groups = m.copies[thread];
    while (!groups.groups.empty() && groups.groups.front().time <= time) {
      CopyGroups::Group group = std::move(groups.groups.front());
      groups.groups.pop_front();
      for (auto &copy : group.copies)
        copy();
    }
    PhaseBarrier &barrier = m.phaseBarriers.at(address);
    m.join(barrier.clocks, agent.clocks);
    uint32_t &known = barrier.clocks[index];
    known = std::max(known, time);
    --barrier.pending;
    m.checkPhase(barrier);
  };
  if (m.isEager())
    return arrive();
  m.pending.push_back({address, thread, arrive});
  m.mayYield();
}

//===----------------------------------------------------------------------===//
// Bulk copies
//===----------------------------------------------------------------------===//

/// Starts a copy that counts its bytes at an mbarrier.
static void startLoad(Machine &m, uint32_t address, const char *what,
                      const std::function<void(const Agent &)> &copy) {
  PhaseBarrier &barrier = m.getPhaseBarrier(address, what);
  if (m.checks && !barrier.fenced)
    m.fail("%s: expected fence.mbarrier_init or fence.proxy.async between "
           "mbarrier.init at %#x and the copy",
           what, address);
  Agent agent = m.startAgent(barrier.agent, ++barrier.time);
  if (m.isEager() || (!m.isLate() && m.draw(3) == 0))
    return copy(agent);
  m.pending.push_back(
      {address, m.current->index, [copy, agent] { copy(agent); }});
  m.mayYield();
}

/// Starts a copy out of shared memory, of this thread's bulk group.
static void startStore(Machine &m,
                       const std::function<void(const Agent &)> &copy) {
  CopyGroups &groups = m.bulkStores[m.current->index];
  Agent agent = m.startAgent(m.storeAgent(m.current->warp), groups.time);
  if (m.isEager() || (!m.isLate() && m.draw(2))) {
    copy(agent);
    groups.open.push_back([] {});
  } else {
    groups.open.push_back([copy, agent] { copy(agent); });
  }
}

void repo_emulator_bulk_commit() {
  Machine &m = *machine;
  commit(m.bulkStores[m.current->index]);
}

void repo_emulator_bulk_wait(int32_t left) {
  Machine &m = *machine;
  wait(m, m.bulkStores[m.current->index], size_t(left),
       m.storeAgent(m.current->warp));
  m.mayYield();
}

void repo_emulator_bulk_load(uint32_t destination, const void *source,
                             int32_t bytes, uint32_t barrier) {
  Machine &m = *machine;
  const char *what = "cp.async.bulk";
  if (bytes % 16)
    m.fail("%s: expected a multiple of 16 bytes, got %d", what, bytes);
  m.checkShared(destination, uint32_t(bytes), 16, what);
  m.checkGlobal(uint64_t(source), uint64_t(bytes), 16, what);
  if (!m.isEager())
    std::memset(pointer(destination), 0xff, size_t(bytes));
  startLoad(m, barrier, what, [=, &m](const Agent &agent) {
    m.accessShared(destination, uint32_t(bytes), Access::asyncWrite, what,
                   &agent);
    std::memcpy(pointer(destination), source, size_t(bytes));
    m.completeBytes(barrier, bytes, agent);
  });
}

void repo_emulator_bulk_store(void *destination, uint32_t source,
                              int32_t bytes) {
  Machine &m = *machine;
  const char *what = "cp.async.bulk";
  if (bytes % 16)
    m.fail("%s: expected a multiple of 16 bytes, got %d", what, bytes);
  m.checkShared(source, uint32_t(bytes), 16, what);
  m.checkGlobal(uint64_t(destination), uint64_t(bytes), 16, what);
  startStore(m, [=, &m](const Agent &agent) {
    m.accessShared(source, uint32_t(bytes), Access::asyncRead, what, &agent);
    std::memcpy(destination, pointer(source), size_t(bytes));
  });
}

//===----------------------------------------------------------------------===//
// Tensor copies
//===----------------------------------------------------------------------===//

/// Calls for every 16 bytes of a box with the address in shared memory, the
/// place in the tensor, and how many of the bytes the tensor has.
static void
forEachPiece(const TensorMap &map, uint32_t shared,
             const std::array<int32_t, 5> &at,
             const std::function<void(uint32_t, char *, unsigned)> &function) {
  uint64_t rowBytes = uint64_t(map.box[0]) * map.elementBytes, rowCount = 1;
  for (unsigned d = 1; d < map.rank; ++d)
    rowCount *= map.box[d];
  for (uint64_t r = 0; r != rowCount; ++r) {
    uint64_t rest = r;
    int64_t offset = int64_t(at[0]) * map.elementBytes;
    bool inside = true;
    for (unsigned d = 1; d < map.rank; ++d) {
      int64_t position = int64_t(at[d]) + int64_t(rest % map.box[d]);
      rest /= map.box[d];
      inside &= position >= 0 && uint64_t(position) < map.size[d];
      offset += position * int64_t(map.stride[d]);
    }
    int64_t begin = int64_t(at[0]) * map.elementBytes,
            end = int64_t(map.size[0]) * map.elementBytes;
    for (uint64_t b = 0; b < rowBytes; b += 16) {
      uint32_t address = map.swizzle(shared + uint32_t(r * rowBytes + b));
      int64_t first = begin + int64_t(b);
      unsigned there = inside && first >= 0
                           ? unsigned(std::clamp<int64_t>(end - first, 0, 16))
                           : 0;
      function(address, map.base + offset + b, there);
    }
  }
}

static const TensorMap &getMap(Machine &m, const void *map, int32_t rank,
                               uint32_t shared, const char *what) {
  const TensorMap &tensor = *static_cast<const TensorMap *>(map);
  if (tensor.magic != TensorMap::validMagic)
    m.fail("%s: %p is no tensor map", what, map);
  if (tensor.rank != unsigned(rank))
    m.fail("%s: expected a tensor map of rank %d, got %u", what, rank,
           tensor.rank);
  uint32_t alignment = tensor.width ? 8 * tensor.width : 128;
  m.checkShared(shared, uint32_t(tensor.getBoxBytes()), alignment, what);
  return tensor;
}

void repo_emulator_tensor_load(int32_t rank, uint32_t shared, const void *map,
                               uint32_t barrier, const int32_t *coordinates) {
  Machine &m = *machine;
  const char *what = "cp.async.bulk.tensor";
  const TensorMap &tensor = getMap(m, map, rank, shared, what);
  std::array<int32_t, 5> at = {};
  std::copy_n(coordinates, rank, at.begin());
  if (!m.isEager())
    std::memset(pointer(shared), 0xff, tensor.getBoxBytes());
  startLoad(m, barrier, what, [=, &m, &tensor](const Agent &agent) {
    forEachPiece(tensor, shared, at,
                 [&](uint32_t address, char *global, unsigned there) {
                   if (there)
                     m.checkGlobal(uint64_t(global), there, 1, what);
                   m.accessShared(address, 16, Access::asyncWrite, what,
                                  &agent);
                   std::memcpy(pointer(address), global, there);
                   std::memset(static_cast<char *>(pointer(address)) + there, 0,
                               16 - there);
                 });
    m.completeBytes(barrier, int64_t(tensor.getBoxBytes()), agent);
  });
}

void repo_emulator_tensor_store(int32_t rank, uint32_t shared, const void *map,
                                const int32_t *coordinates) {
  Machine &m = *machine;
  const char *what = "cp.async.bulk.tensor";
  const TensorMap &tensor = getMap(m, map, rank, shared, what);
  std::array<int32_t, 5> at = {};
  std::copy_n(coordinates, rank, at.begin());
  startStore(m, [=, &m, &tensor](const Agent &agent) {
    forEachPiece(tensor, shared, at,
                 [&](uint32_t address, char *global, unsigned there) {
                   m.accessShared(address, 16, Access::asyncRead, what, &agent);
                   if (!there)
                     return;
                   m.checkGlobal(uint64_t(global), there, 1, what);
                   std::memcpy(global, pointer(address), there);
                 });
  });
}
