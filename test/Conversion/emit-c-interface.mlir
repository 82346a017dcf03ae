// RUN: repo-opt %s --repo-materialize-destinations --repo-emit-c-interface="features=avx2" | FileCheck %s

// Sizes that one loop of an op runs along get one symbol; so do results that follow from them.
// CHECK-DAG: llvm.func @f(%{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: i32) -> i32
// CHECK-DAG: llvm.func internal @f.call(%{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr)
// CHECK-DAG: func.func private @f.body({{.*}}) attributes {llvm.linkage = #llvm.linkage<internal>}
// CHECK-DAG: llvm.mlir.global internal constant @repo_library_info.features("avx2\00")
// CHECK-DAG: @repo_library_info.manifest({{.*}}\22name\22:\22q\22,\22role\22:\22input\22,\22shape\22:[1,2,\22s0\22,8]{{.*}}\22name\22:\22z\22{{.*}}\22shape\22:[1,1,\22s0\22]{{.*}}\22name\22:\22result0\22,\22role\22:\22output\22,\22shape\22:[1,2,\22s0\22,8]
// CHECK-DAG: llvm.mlir.global external constant @repo_library_info()
func.func @f(%q: tensor<1x2x?x8xf32> {repo.name = "q"}, %z: tensor<1x1x?xf32> {repo.name = "z"}) -> tensor<1x2x?x8xf32> {
  %0 = repo.rotate %q by(%z) {rope = #repo.rope<theta = 1.0e4, dim = 8>}
     : (tensor<1x2x?x8xf32>, tensor<1x1x?xf32>) -> tensor<1x2x?x8xf32>
  return %0 : tensor<1x2x?x8xf32>
}
