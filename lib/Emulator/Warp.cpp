//===- Warp.cpp - Instructions of a warp ----------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Machine.h"
#include <cmath>
#include <cstring>

using namespace repo::emulator;

void Machine::checkMask(const char *instruction, uint32_t mask) {
  if (!(mask >> current->lane & 1))
    fail("%s: expected a mask with lane %u, got %#x", instruction,
         current->lane, mask);
  unsigned lanes = std::min(warpSize, numThreads - current->warp * warpSize);
  if (lanes < warpSize && mask >> lanes)
    fail("%s: expected a mask of the %u lanes there are, got %#x", instruction,
         lanes, mask);
}

int32_t repo_emulator_register(int32_t which) {
  Machine &m = *machine;
  unsigned index = m.current->index;
  switch (which) {
  case REPO_EMULATOR_TID:
    return int32_t(index % m.block[0]);
  case REPO_EMULATOR_TID + 1:
    return int32_t(index / m.block[0] % m.block[1]);
  case REPO_EMULATOR_TID + 2:
    return int32_t(index / m.block[0] / m.block[1]);
  case REPO_EMULATOR_NTID:
  case REPO_EMULATOR_NTID + 1:
  case REPO_EMULATOR_NTID + 2:
    return int32_t(m.block[which - REPO_EMULATOR_NTID]);
  case REPO_EMULATOR_CTAID:
  case REPO_EMULATOR_CTAID + 1:
  case REPO_EMULATOR_CTAID + 2:
    return int32_t(m.blockIndex[which - REPO_EMULATOR_CTAID]);
  case REPO_EMULATOR_NCTAID:
  case REPO_EMULATOR_NCTAID + 1:
  case REPO_EMULATOR_NCTAID + 2:
    return int32_t(m.grid[which - REPO_EMULATOR_NCTAID]);
  case REPO_EMULATOR_LANEID:
    return int32_t(m.current->lane);
  case REPO_EMULATOR_WARPID:
    return int32_t(m.current->warp);
  case REPO_EMULATOR_DYNAMIC_SHARED:
    return int32_t(m.dynamicShared);
  default:
    m.fail("reads special register %d: unknown", which);
  }
}

void repo_emulator_trap() { machine->fail("trap"); }

//===----------------------------------------------------------------------===//
// bar.warp.sync, shuffles, votes
//===----------------------------------------------------------------------===//

void repo_emulator_warp_sync(int32_t mask) {
  Machine &m = *machine;
  int nothing = 0;
  m.gatherWarp<int>("bar.warp.sync", uint32_t(mask), nothing, [&](int **) {
    std::vector<unsigned> lanes;
    unsigned first = m.current->index - m.current->lane;
    for (unsigned lane = 0; lane != warpSize; ++lane)
      if (uint32_t(mask) >> lane & 1)
        lanes.push_back(first + lane);
    m.orderLanes(lanes);
  });
  m.mayYield();
}

namespace {
struct Shuffle {
  int32_t mode, lane, clamp;
  uint32_t mask, value, result;
  bool valid;
};
} // namespace

/// As the PTX ISA defines shfl.sync.
static void shuffle(Shuffle **lanes) {
  for (int lane = 0; lane != int(warpSize); ++lane) {
    Shuffle *mine = lanes[lane];
    if (!mine)
      continue;
    int segment = mine->clamp >> 8 & 31, clamp = mine->clamp & 31,
        b = mine->lane & 31;
    int last = (lane & segment) | (clamp & ~segment), first = lane & segment,
        source = 0;
    switch (mine->mode) {
    case REPO_EMULATOR_SHUFFLE_UP:
      source = lane - b;
      mine->valid = source >= last;
      break;
    case REPO_EMULATOR_SHUFFLE_DOWN:
      source = lane + b;
      mine->valid = source <= last;
      break;
    case REPO_EMULATOR_SHUFFLE_BUTTERFLY:
      source = lane ^ b;
      mine->valid = source <= last;
      break;
    default:
      source = first | (b & ~segment);
      mine->valid = source <= last;
      break;
    }
    if (!mine->valid)
      source = lane;
    if (!lanes[source])
      machine->fail("shfl.sync: lane %d reads lane %d, which the mask leaves "
                    "out",
                    lane, source);
    mine->result = lanes[source]->value;
  }
}

/// The arguments of the lanes in the mask; null for others.
template <typename T> static void select(T **all, uint32_t mask, T **selected) {
  for (unsigned lane = 0; lane != warpSize; ++lane)
    selected[lane] = mask >> lane & 1 ? all[lane] : nullptr;
}

uint64_t repo_emulator_shuffle(int32_t mode, int32_t mask, int32_t value,
                               int32_t lane, int32_t clamp) {
  Shuffle mine{mode, lane, clamp, uint32_t(mask), uint32_t(value), 0, false};
  machine->gatherWarp<Shuffle>("shfl.sync", uint32_t(mask), mine,
                               [mask](Shuffle **all) {
                                 Shuffle *lanes[warpSize];
                                 select(all, uint32_t(mask), lanes);
                                 shuffle(lanes);
                               });
  return mine.result | uint64_t(mine.valid) << 32;
}

namespace {
struct Vote {
  uint32_t value, result;
};
} // namespace

int32_t repo_emulator_vote(int32_t mode, int32_t mask, int32_t vote) {
  Vote mine{uint32_t(vote & 1), 0};
  machine->gatherWarp<Vote>(
      "vote.sync", uint32_t(mask), mine, [mode, mask](Vote **all) {
        Vote *lanes[warpSize];
        select(all, uint32_t(mask), lanes);
        uint32_t ballot = 0;
        for (unsigned lane = 0; lane != warpSize; ++lane)
          if (lanes[lane])
            ballot |= lanes[lane]->value << lane;
        uint32_t result = mode == REPO_EMULATOR_VOTE_ALL
                              ? ballot == uint32_t(mask)
                          : mode == REPO_EMULATOR_VOTE_ANY ? ballot != 0
                          : mode == REPO_EMULATOR_VOTE_UNIFORM
                              ? ballot == 0 || ballot == uint32_t(mask)
                              : ballot;
        for (Vote *lane : lanes)
          if (lane)
            lane->result = result;
      });
  return int32_t(mine.result);
}

int32_t repo_emulator_reduce(int32_t mode, int32_t mask, int32_t value) {
  Vote mine{uint32_t(value), 0};
  machine->gatherWarp<Vote>(
      "redux.sync", uint32_t(mask), mine, [mode, mask](Vote **all) {
        Vote *lanes[warpSize];
        select(all, uint32_t(mask), lanes);
        bool first = true;
        uint32_t result = 0;
        for (Vote *lane : lanes) {
          if (!lane)
            continue;
          uint32_t x = lane->value;
          if (first)
            result = x;
          else if (mode == REPO_EMULATOR_REDUCE_ADD)
            result += x;
          else if (mode == REPO_EMULATOR_REDUCE_MIN)
            result = uint32_t(std::min(int32_t(result), int32_t(x)));
          else if (mode == REPO_EMULATOR_REDUCE_MAX)
            result = uint32_t(std::max(int32_t(result), int32_t(x)));
          else if (mode == REPO_EMULATOR_REDUCE_UMIN)
            result = std::min(result, x);
          else if (mode == REPO_EMULATOR_REDUCE_UMAX)
            result = std::max(result, x);
          else if (mode == REPO_EMULATOR_REDUCE_AND)
            result &= x;
          else if (mode == REPO_EMULATOR_REDUCE_OR)
            result |= x;
          else
            result ^= x;
          first = false;
        }
        for (Vote *lane : lanes)
          if (lane)
            lane->result = result;
      });
  return int32_t(mine.result);
}

uint64_t repo_emulator_elect(int32_t mask) {
  Machine &m = *machine;
  int nothing = 0;
  m.gatherWarp<int>("elect.sync", uint32_t(mask), nothing, [](int **) {});
  uint32_t leader = uint32_t(__builtin_ctz(uint32_t(mask)));
  return leader | uint64_t(m.current->lane == leader) << 32;
}

//===----------------------------------------------------------------------===//
// Approximate mathematics: what the instruction computes without its error
//===----------------------------------------------------------------------===//

static float flush(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
}

float repo_emulator_ex2(float x) { return flush(std::exp2(flush(x))); }
float repo_emulator_lg2(float x) { return std::log2(x); }
float repo_emulator_sin(float x) { return std::sin(x); }
float repo_emulator_cos(float x) { return std::cos(x); }
float repo_emulator_tanh(float x) { return std::tanh(x); }
float repo_emulator_rcp(float x) { return flush(1.0f / flush(x)); }
float repo_emulator_sqrt(float x) { return std::sqrt(flush(x)); }
float repo_emulator_rsqrt(float x) { return flush(1.0f / std::sqrt(flush(x))); }
