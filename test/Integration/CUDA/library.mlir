// A library for a GPU: cubins of several chips, PTX for later ones, and a C interface. Without a driver, one line.

// REQUIRES: ptxas
// RUN: repo-compile %s --target=cuda --chip=sm_80,sm_90a -o %t.so
// RUN: repo-run %t.so --list | FileCheck %s --check-prefix=LIST
// RUN: strings %t.so | FileCheck %s --check-prefix=PTX
// RUN: not repo-compile %s --target=cuda --chip=sm_80,sm_90a --emit=ptx -o - 2>&1 | FileCheck %s --check-prefix=CHIPS
// LIST: rotate
// PTX: .target sm_80
// CHIPS: repo-compile: expected one chip, as only a library holds code for several

func.func @rotate(%x: tensor<?x4x?x96xf32>, %z: tensor<?x4x?xf32>) -> tensor<?x4x?x96xf32> {
  %y = repo.rotate %x by(%z) {rope = #repo.rope<theta = 500000.0, dim = 48>} : (tensor<?x4x?x96xf32>, tensor<?x4x?xf32>) -> tensor<?x4x?x96xf32>
  return %y : tensor<?x4x?x96xf32>
}
