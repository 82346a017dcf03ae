//===- CublasLt.h - Matrix products by cuBLASLt -----------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The library is opened when the first product runs; nothing links it.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_RUNTIME_CUBLASLT_H
#define REPO_LIB_RUNTIME_CUBLASLT_H

#include "repo/Runtime/runtime.h"
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace repo_rt {

struct CudaDriver;
struct CublasLt;

/// The products of one context on one device, which is current.
class MatrixProducts {
public:
  MatrixProducts();
  MatrixProducts(const MatrixProducts &) = delete;
  ~MatrixProducts();
  /// Gives back what was made; the device is current.
  void close();

  /// Starts a product on the stream; 0, or an error of the context.
  int32_t run(repo_rt_context *context, const CudaDriver &driver,
              repo_rt_gemm product, void *stream);

private:
  struct Plan;
  int32_t open(repo_rt_context *context, const CudaDriver &driver);
  int makePlan(const repo_rt_gemm &product, Plan &plan);

  const CublasLt *library = nullptr;
  void *handle = nullptr;
  std::map<std::vector<int64_t>, std::unique_ptr<Plan>> plans;
};

} // namespace repo_rt

#endif // REPO_LIB_RUNTIME_CUBLASLT_H
