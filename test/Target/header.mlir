// The header stands alone, in C99 and C++, or brings the runtime's where that is
// found; beside another library's; whatever the tensors are called.
// RUN: split-file %s %t
// RUN: repo-compile %t/first.mlir -o %t/first.so
// RUN: repo-compile %t/second.mlir -o %t/second.so
// RUN: FileCheck %s --input-file=%t/first.h
// RUN: clang -std=c99 -pedantic -Wall -Wextra -Werror -fsyntax-only %t/both.c
// RUN: clang -x c++ -std=c++17 -Wall -Wextra -Werror -fsyntax-only %t/both.c
// RUN: clang -std=c99 -pedantic -Wall -Wextra -Werror -fsyntax-only -I %S/../../include -DRUNTIME %t/both.c

// CHECK: /* first
// CHECK-NEXT: *   input    int  f32 [[[N:s[0-9]+]], 4]
// CHECK-NEXT: *   constant a.b  f32 [4]
// CHECK-NEXT: *   input    a_b  bool []
// CHECK-NEXT: *   output   context  f32 {{\[}}[[N]], 4]
// CHECK-NEXT: */
// CHECK: int32_t first(struct repo_rt_context *context, DLTensor *const *tensors,
// CHECK: static inline int32_t first_call(struct repo_rt_context *context,
// CHECK-NEXT: DLTensor *int_,
// CHECK-NEXT: DLTensor *a_b,
// CHECK-NEXT: DLTensor *a_b_,
// CHECK-NEXT: DLTensor *context_) {
// CHECK: /* no.name
// CHECK: Its name is none in C
// CHECK-NOT: no.name(

//--- first.mlir
func.func @first(%x: tensor<?x4xf32> {repo.name = "int"}, %w: tensor<4xf32> {repo.constant, repo.name = "a.b"},
                 %b: i1 {repo.name = "a_b"}) -> (tensor<?x4xf32> {repo.name = "context"}) {
  %0 = math.absf %x : tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}
func.func @no.name() {
  return
}

//--- second.mlir
func.func @second(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

//--- both.c
#include "first.h"
#include "second.h"
int32_t use(struct repo_rt_context *context, DLTensor *x);
int32_t use(struct repo_rt_context *context, DLTensor *x) {
  return first_call(context, x, x, x, x) + second_call(context, x, x);
}
#ifdef RUNTIME
repo_rt_context *create(void);
repo_rt_context *create(void) { return repo_rt_context_create(); }
#endif
