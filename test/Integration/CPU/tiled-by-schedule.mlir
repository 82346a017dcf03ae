// Attention in the tiles of a transform schedule gives the outputs of the reference: grouped heads, a window, offsets
// of the rows, on both paths.

// RUN: repo-opt %S/attention-gqa-window.mlir --pass-pipeline="builtin.module(transform-preload-library{transform-library-paths=%s},transform-interpreter)" -o %t.mlir
// RUN: FileCheck %s < %t.mlir
// RUN: repo-compile %t.mlir -o %t-reference.so --pipeline=reference
// RUN: repo-run %t-reference.so --entry=attention --inputs=%golden/attention-gqa-window.safetensors --expect=%golden/attention-gqa-window.safetensors --atol=3e-6
// RUN: repo-compile %t.mlir -o %t-cpu.so
// RUN: repo-run %t-cpu.so --entry=attention --inputs=%golden/attention-gqa-window.safetensors --expect=%golden/attention-gqa-window.safetensors --atol=3e-6

// CHECK: scf.forall
// CHECK: repo.attention {{.*}} offset(
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["repo.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %tile, %loop = transform.structured.tile_using_forall %op tile_sizes [1, 1, 24]
        : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}
