// RUN: repo-opt %s --repo-decompose=keep-attributes | FileCheck %s

// CHECK: func @f(%{{.*}}: tensor<4xf32> {repo.name = "x"})
func.func @f(%x: tensor<4xf32> {repo.name = "x"}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
