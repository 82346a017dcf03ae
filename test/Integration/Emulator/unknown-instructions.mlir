// What the emulator does not have is one line that names it.

// RUN: split-file %s %t
// RUN: repo-compile %t/asm.mlir --target=cuda --emit=llvm -o %t/asm.ll
// RUN: not repo-emulate %t/asm.ll -o %t/asm.so 2>&1 | FileCheck %s --check-prefix=ASM
// RUN: repo-compile %t/intrinsic.mlir --target=cuda --chip=sm_90a --emit=llvm -o %t/intrinsic.ll
// RUN: not repo-emulate %t/intrinsic.ll -o %t/intrinsic.so 2>&1 | FileCheck %s --check-prefix=INTRINSIC
// RUN: not repo-emulate %t/none.ll -o %t/none.so 2>&1 | FileCheck %s --check-prefix=NONE
// ASM: repo-emulate: {{.*}}asm.ll: the emulator has no `tcgen05.alloc`
// INTRINSIC: repo-emulate: {{.*}}intrinsic.ll: the emulator has no `llvm.nvvm.barrier.cluster.arrive{{.*}}`
// NONE: repo-emulate: cannot read `{{.*}}none.ll`: No such file or directory

//--- asm.mlir
gpu.module @kernels {
  llvm.func @f() attributes {nvvm.kernel, gpu.kernel} {
    llvm.inline_asm has_side_effects asm_dialect = att "tcgen05.alloc [%0], 1;", "" : () -> ()
    llvm.return
  }
}

//--- intrinsic.mlir
gpu.module @kernels {
  llvm.func @f() attributes {nvvm.kernel, gpu.kernel} {
    nvvm.cluster.arrive {aligned}
    llvm.return
  }
}
