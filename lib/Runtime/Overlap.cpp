//===- Overlap.cpp - Whether tensors share memory -------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Two elements share a byte if their addresses differ by less than an element.
// The difference is a sum of strides, each times a bounded integer; a search
// over these integers, largest stride first, has one or two values to try at
// each step where strides nest, as those of slices do.
//
//===----------------------------------------------------------------------===//

#include "Overlap.h"
#include <algorithm>
#include <vector>

using namespace repo_rt;

namespace {
using Wide = __int128;

/// stride * t for t in low..high.
struct Term {
  Wide stride, low, high;
};

class Search {
public:
  /// Looks for a difference in above+1..below-1.
  Search(Wide above, Wide below) : above(above), below(below) {}

  void add(const View &view, bool plus, bool minus) {
    for (int32_t i = 0; i < view.rank; ++i)
      if (view.sizes[i] > 1) {
        Wide last = view.sizes[i] - 1;
        terms.push_back({Wide(view.strides[i]) * view.elementBytes,
                         minus ? -last : 0, plus ? last : 0});
      }
  }

  /// Whether the start plus a sum of terms hits. `nonzero`: not all t are 0.
  bool run(Wide start, bool nonzero) {
    std::sort(terms.begin(), terms.end(),
              [](const Term &a, const Term &b) { return a.stride > b.stride; });
    lows.assign(terms.size() + 1, 0);
    highs.assign(terms.size() + 1, 0);
    for (size_t i = terms.size(); i-- > 0;) {
      lows[i] = lows[i + 1] + terms[i].stride * terms[i].low;
      highs[i] = highs[i + 1] + terms[i].stride * terms[i].high;
    }
    return visit(0, start, !nonzero);
  }

private:
  static Wide floorDivide(Wide a, Wide b) {
    return a >= 0 ? a / b : -((-a + b - 1) / b);
  }

  bool visit(size_t index, Wide sum, bool done) {
    if (index == terms.size())
      return done && sum > above && sum < below;
    if (++visited > limit)
      return false;
    const Term &term = terms[index];
    Wide low = term.low, high = term.high;
    if (term.stride > 0) {
      // What the terms after this one can still make good.
      low = std::max(
          low, floorDivide(above - highs[index + 1] - sum, term.stride) + 1);
      high = std::min(
          high, floorDivide(below - 1 - lows[index + 1] - sum, term.stride));
    } else if (!done && high > 0) {
      // A stride of 0: two elements at one address.
      return visit(index + 1, sum, true);
    } else {
      low = high = 0;
    }
    for (Wide t = low; t <= high && visited <= limit; ++t)
      if (visit(index + 1, sum + term.stride * t, done || t != 0))
        return true;
    return false;
  }

  static constexpr int limit = 4096;
  int visited = 0;
  Wide above, below;
  std::vector<Term> terms;
  std::vector<Wide> lows, highs;
};
} // namespace

int64_t repo_rt::getEnd(const View &view) {
  Wide elements = 1;
  for (int32_t i = 0; i < view.rank; ++i) {
    if (view.sizes[i] == 0)
      return view.address;
    elements += Wide(view.sizes[i] - 1) * view.strides[i];
  }
  Wide end = view.address + elements * view.elementBytes;
  return static_cast<int64_t>(std::min<Wide>(end, INT64_MAX));
}

bool repo_rt::overlap(const View &a, const View &b) {
  if (getEnd(a) <= b.address || getEnd(b) <= a.address)
    return false;
  Search search(-Wide(a.elementBytes), b.elementBytes);
  search.add(a, /*plus=*/true, /*minus=*/false);
  search.add(b, /*plus=*/false, /*minus=*/true);
  return search.run(Wide(a.address) - b.address, /*nonzero=*/false);
}

/// Whether each stride steps over all that smaller strides cover: so it is with
/// slices of contiguous tensors in any order, and then elements lie apart.
static bool isNested(const View &view) {
  constexpr int32_t most = 8;
  if (view.rank > most)
    return false;
  int32_t order[most], count = 0;
  for (int32_t i = view.rank; i-- > 0;) {
    if (view.sizes[i] <= 1)
      continue;
    int32_t place = count++;
    for (; place > 0 && view.strides[order[place - 1]] > view.strides[i];
         --place)
      order[place] = order[place - 1];
    order[place] = i;
  }
  Wide covered = 1;
  for (int32_t i = 0; i < count; ++i) {
    if (view.strides[order[i]] < covered)
      return false;
    covered += Wide(view.sizes[order[i]] - 1) * view.strides[order[i]];
  }
  return true;
}

bool repo_rt::overlapsItself(const View &view) {
  if (getEnd(view) == view.address || isNested(view))
    return false;
  Search search(-Wide(view.elementBytes), view.elementBytes);
  search.add(view, /*plus=*/true, /*minus=*/true);
  return search.run(0, /*nonzero=*/true);
}
