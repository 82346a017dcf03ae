// What ptxas makes of the kernels: no spills, and the report says so.

// REQUIRES: ptxas
// RUN: repo-compile %S/kernels.mlir --target=cuda --chip=sm_80 --emit=cubin --report -o %t.80 2>&1 | FileCheck %s
// RUN: repo-compile %S/kernels.mlir --target=cuda --chip=sm_90a --emit=cubin --report -o %t.90 2>&1 | FileCheck %s
// RUN: repo-compile %S/kernels.mlir --target=cuda --chip=sm_89 --emit=cubin -o %t.89
// RUN: repo-compile %S/kernels.mlir --target=cuda --chip=sm_86 --emit=cubin -o %t.86
// RUN: repo-compile %S/kernels.mlir --target=cuda --chip=sm_100a --emit=cubin -o %t.100
// RUN: repo-compile %S/kernels.mlir --target=cuda --chip=sm_120 --emit=cubin -o %t.120
// CHECK-DAG: remark: kernel `attention_bf16_kernel0`: {{[0-9]+}} registers, 0 bytes of shared memory, 0 bytes of spills
// CHECK-DAG: remark: kernel `append_rows0`: {{[0-9]+}} registers
// CHECK-DAG: remark: kernel `positions_rows0`: {{[0-9]+}} registers
// CHECK-DAG: remark: kernel `rotate_rows0`: {{[0-9]+}} registers
