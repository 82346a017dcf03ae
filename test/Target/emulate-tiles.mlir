// Tile instructions as calls: tiles carried by a loop, shapes smaller than a
// register, no need of the features. The unit matrix in VNNI form (pairs of rows
// of 32 columns) gives the left factor back.

// RUN: repo-compile %s -o %t.so --emulate=amx --cpu=x86-64-v3 --features=+amx-bf16
// RUN: repo-run %t.so --list | FileCheck %s --check-prefix=LIST
// LIST-NOT: amx-
// LIST: f

// RUN: repo-compile %s -o - --emulate=amx --cpu=x86-64-v3 --emit=asm | FileCheck %s --check-prefix=ASM
// ASM-NOT: {{tileload|ldtilecfg|tdpbf16ps}}
// ASM: vfmadd{{.*}}ymm

// The same for the unit itself: one configuration, sums that stay in it.
// RUN: repo-compile %s -o - --cpu=x86-64-v4 --features=+amx-bf16 --emit=asm | FileCheck %s --check-prefix=AMX
// AMX: ldtilecfg
// AMX-NOT: ldtilecfg
// AMX: tilezero
// AMX: tdpbf16ps
// AMX: tilestored

func.func @f(%a: tensor<12x64xbf16>, %b: tensor<2x16x32xbf16>) -> tensor<12x16xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c32 = arith.constant 32 : index
  %ma = bufferization.to_buffer %a read_only : tensor<12x64xbf16> to memref<12x64xbf16>
  %mb = bufferization.to_buffer %b read_only : tensor<2x16x32xbf16> to memref<2x16x32xbf16>
  %mc = memref.alloc() : memref<12x16xf32>
  %zero = amx.tile_zero : !amx.tile<12x16xf32>
  %sum = scf.for %k = %c0 to %c2 step %c1 iter_args(%acc = %zero) -> !amx.tile<12x16xf32> {
    %at = arith.muli %k, %c32 : index
    %ta = amx.tile_load %ma[%c0, %at] : memref<12x64xbf16> into !amx.tile<12x32xbf16>
    %tb = amx.tile_load %mb[%k, %c0, %c0] : memref<2x16x32xbf16> into !amx.tile<16x32xbf16>
    %next = amx.tile_mulf %ta, %tb, %acc : !amx.tile<12x32xbf16>, !amx.tile<16x32xbf16>, !amx.tile<12x16xf32>
    scf.yield %next : !amx.tile<12x16xf32>
  }
  amx.tile_store %mc[%c0, %c0], %sum : memref<12x16xf32>, !amx.tile<12x16xf32>
  %c = bufferization.to_tensor %mc restrict : memref<12x16xf32> to tensor<12x16xf32>
  return %c : tensor<12x16xf32>
}
