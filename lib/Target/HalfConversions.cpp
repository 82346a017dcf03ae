//===- HalfConversions.cpp - Conversions to 16-bit floats -----------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "HalfConversions.h"
#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Module.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;

/// All round to nearest, ties to even. From f64 the value goes through an f32
/// that is rounded to odd, so that rounding twice gives the same as once.
static constexpr StringLiteral definitions = R"(
define weak_odr hidden bfloat @__truncsfbf2(float %x) {
  %bits = bitcast float %x to i32
  %high = lshr i32 %bits, 16
  %odd = and i32 %high, 1
  %up = add i32 %odd, 32767
  %sum = add i32 %bits, %up
  %rounded = lshr i32 %sum, 16
  %quiet = or i32 %high, 64
  %nan = fcmp uno float %x, 0.0
  %r = select i1 %nan, i32 %quiet, i32 %rounded
  %t = trunc i32 %r to i16
  %y = bitcast i16 %t to bfloat
  ret bfloat %y
}

define weak_odr hidden half @__truncsfhf2(float %x) {
  %all = bitcast float %x to i32
  %bits = and i32 %all, 2147483647
  %sign = lshr i32 %all, 16
  %s = and i32 %sign, 32768
  ; 65536 and above: infinity, or NaN.
  %nan = icmp ugt i32 %bits, 2139095040
  %special = select i1 %nan, i32 32256, i32 31744
  %large = icmp uge i32 %bits, 1199570944
  ; Below 2^-14: adding 0.5 leaves the subnormal's bits at the end.
  %f = bitcast i32 %bits to float
  %fs = fadd float %f, 0.5
  %fb = bitcast float %fs to i32
  %sub = sub i32 %fb, 1056964608
  %small = icmp ult i32 %bits, 947912704
  ; Between: change the exponent's bias and round.
  %low = lshr i32 %bits, 13
  %odd = and i32 %low, 1
  %biased = sub i32 %bits, 939520001
  %sum = add i32 %biased, %odd
  %normal = lshr i32 %sum, 13
  %r0 = select i1 %small, i32 %sub, i32 %normal
  %r1 = select i1 %large, i32 %special, i32 %r0
  %r = or i32 %r1, %s
  %t = trunc i32 %r to i16
  %y = bitcast i16 %t to half
  ret half %y
}

define weak_odr hidden float @__extendhfsf2(half %x) {
  %h = bitcast half %x to i16
  %all = zext i16 %h to i32
  %m = and i32 %all, 32767
  %sign = and i32 %all, 32768
  %s = shl i32 %sign, 16
  %shifted = shl i32 %m, 13
  %exponent = and i32 %shifted, 260046848
  %normal = add i32 %shifted, 939524096
  %special = add i32 %shifted, 1879048192
  ; A subnormal: as a number with the least exponent, less its leading one.
  %base = add i32 %shifted, 947912704
  %f = bitcast i32 %base to float
  %one = bitcast i32 947912704 to float
  %d = fsub float %f, %one
  %sub = bitcast float %d to i32
  %issub = icmp eq i32 %exponent, 0
  %isspecial = icmp eq i32 %exponent, 260046848
  %r0 = select i1 %issub, i32 %sub, i32 %normal
  %r1 = select i1 %isspecial, i32 %special, i32 %r0
  %r = or i32 %r1, %s
  %y = bitcast i32 %r to float
  ret float %y
}

define private float @repo.round_to_odd(double %x) {
  %f = fptrunc double %x to float
  %back = fpext float %f to double
  %inexact = fcmp one double %back, %x
  %bits = bitcast float %f to i32
  %a = call double @llvm.fabs.f64(double %x)
  %b = call double @llvm.fabs.f64(double %back)
  %above = fcmp ogt double %b, %a
  %less = zext i1 %above to i32
  %towards = sub i32 %bits, %less
  %odd = or i32 %towards, 1
  %r = select i1 %inexact, i32 %odd, i32 %bits
  %y = bitcast i32 %r to float
  ret float %y
}

define weak_odr hidden bfloat @__truncdfbf2(double %x) {
  %f = call float @repo.round_to_odd(double %x)
  %y = call bfloat @__truncsfbf2(float %f)
  ret bfloat %y
}

define weak_odr hidden half @__truncdfhf2(double %x) {
  %f = call float @repo.round_to_odd(double %x)
  %y = call half @__truncsfhf2(float %f)
  ret half %y
}

declare double @llvm.fabs.f64(double)
)";

static bool usesHalf(llvm::Module &module) {
  auto isHalf = [](llvm::Type *type) {
    return type->getScalarType()->is16bitFPTy();
  };
  for (llvm::Function &function : module)
    for (llvm::Instruction &instruction : llvm::instructions(function))
      if (isHalf(instruction.getType()) ||
          llvm::any_of(instruction.operand_values(), [&](llvm::Value *value) {
            return isHalf(value->getType());
          }))
        return true;
  return false;
}

LogicalResult mlir::repo::addHalfConversions(llvm::Module &module) {
  if (!usesHalf(module))
    return success();
  llvm::SMDiagnostic error;
  std::unique_ptr<llvm::Module> conversions =
      llvm::parseAssemblyString(definitions, error, module.getContext());
  if (!conversions)
    return failure();
  conversions->setTargetTriple(module.getTargetTriple());
  conversions->setDataLayout(module.getDataLayout());
  for (llvm::Function &function : *conversions)
    function.addFnAttr(llvm::Attribute::NoUnwind);
  // Whoever calls them appears only in code generation.
  return failure(llvm::Linker::linkModules(module, std::move(conversions)));
}
