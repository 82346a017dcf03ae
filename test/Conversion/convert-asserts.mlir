// RUN: repo-opt %s --repo-convert-asserts | FileCheck %s

// One text for all that say the same; functions without a context keep theirs.
// CHECK-LABEL: func.func @f
// CHECK: %[[FAILS:.*]] = arith.xori %arg1
// CHECK: scf.if %[[FAILS]] {
// CHECK: %[[TEXT:.*]] = llvm.mlir.addressof @repo_message
// CHECK: llvm.getelementptr %{{.*}}[80]
// CHECK: llvm.call %{{.*}}(%arg0, %[[TEXT]])
// CHECK: scf.if
// CHECK: llvm.mlir.addressof @repo_message
func.func @f(%ctx: !llvm.ptr, %fits: i1, %also: i1) {
  cf.assert %fits, "expected more"
  cf.assert %also, "expected more"
  return
}

// CHECK-LABEL: func.func @without_context
// CHECK: cf.assert
func.func @without_context(%fits: i1) {
  cf.assert %fits, "expected more"
  return
}
// CHECK: llvm.mlir.global internal constant @repo_message("expected more\00")
// CHECK-NOT: llvm.mlir.global
