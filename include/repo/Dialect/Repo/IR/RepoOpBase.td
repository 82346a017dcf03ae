//===- RepoOpBase.td - Types and base classes of ops -------*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Two kinds of ops. Ops that compute a value from shapes they determine
// (positions, rotation, views of a cache) return it; ops that write something
// large (attention, the cache) are in destination style. The compute type of an
// op is f64 if one of its data operands is f64, else f32; positions, phases and
// accumulators have the compute type.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_IR_REPOOPBASE_TD
#define REPO_DIALECT_REPO_IR_REPOOPBASE_TD

include "repo/Dialect/Repo/IR/RepoAttrs.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/IndexingMapOpInterface.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

class Repo_ShapedOf<list<Type> types, string summary>
    : AnyTypeOf<[RankedTensorOf<types>, StridedMemRefOf<types>], summary,
                "::mlir::ShapedType">;

def Repo_Float : AnyTypeOf<[F16, BF16, F32, F64]>;
def Repo_Real : AnyTypeOf<[F32, F64]>;

def Repo_FloatTensor : RankedTensorOf<[F16, BF16, F32, F64]>;
def Repo_RealTensor : RankedTensorOf<[F32, F64]>;
def Repo_IndexTensor : RankedTensorOf<[I32]>;

def Repo_FloatShaped : Repo_ShapedOf<[F16, BF16, F32, F64], "tensor or memref of floats">;
def Repo_RealShaped : Repo_ShapedOf<[F32, F64], "tensor or memref of f32 or f64">;
def Repo_BoolShaped : Repo_ShapedOf<[I1], "tensor or memref of i1">;
def Repo_Int32Shaped : Repo_ShapedOf<[I32], "tensor or memref of i32">;
def Repo_IndexOrInt32Shaped : AnyTypeOf<[Index, RankedTensorOf<[I32]>, StridedMemRefOf<[I32]>],
                                        "index, or tensor or memref of i32">;

//===----------------------------------------------------------------------===//
// Base classes
//===----------------------------------------------------------------------===//

/// Every op names the dimensions of its operands by indexing maps over one
/// iteration domain; verifier, shape inference, tiling and the check of sizes at
/// the C boundary all read them there.
class Repo_Op<string mnemonic, list<Trait> traits = []>
    : Op<Repo_Dialect, mnemonic, !listconcat(traits, [
        DeclareOpInterfaceMethods<IndexingMapOpInterface>])> {
  let hasVerifier = 1;
  code baseClassDeclaration = [{
    /// The names of the iteration dimensions, for diagnostics.
    static ArrayRef<StringRef> getDimNames();
    /// The shape of an operand; empty for a scalar.
    ArrayRef<int64_t> getShape(OpOperand *operand) {
      auto shaped = dyn_cast<ShapedType>(operand->get().getType());
      return shaped ? shaped.getShape() : ArrayRef<int64_t>();
    }
  }];
  let extraClassDeclaration = baseClassDeclaration;
}

/// An op that returns a value computed from its operands alone.
class Repo_ValueOp<string mnemonic, list<Trait> traits = []>
    : Repo_Op<mnemonic, !listconcat(traits, [Pure,
        InferTypeOpAdaptor,
        DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface, ["reifyResultShapes"]>])> {
  code valueClassDeclaration = baseClassDeclaration # [{
    /// Left to the verifier of the op, which says what was expected.
    static bool isCompatibleReturnTypes(TypeRange, TypeRange) { return true; }
  }];
  let extraClassDeclaration = valueClassDeclaration;
}

/// An op in destination style, on tensors or on buffers.
class Repo_DestinationOp<string mnemonic, list<Trait> traits = []>
    : Repo_Op<mnemonic, !listconcat(traits, [
        DestinationStyleOpInterface, AttrSizedOperandSegments,
        DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface, ["reifyResultShapes"]>,
        DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
        DeclareOpInterfaceMethods<ConditionallySpeculatable>])>;

#endif // REPO_DIALECT_REPO_IR_REPOOPBASE_TD
