//===- RepoTileTypes.td - Fragments and their layouts ------*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPOTILE_IR_REPOTILETYPES_TD
#define REPO_DIALECT_REPOTILE_IR_REPOTILETYPES_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "repo/Dialect/RepoTile/IR/RepoTileDialect.td"

def RepoTile_Layout : I32EnumAttr<"Layout", "where the elements of a fragment lie", [
    I32EnumAttrCase<"mma_acc", 0>, I32EnumAttrCase<"mma_a", 1>, I32EnumAttrCase<"mma_row", 2>,
    I32EnumAttrCase<"wgmma_acc", 3>, I32EnumAttrCase<"wgmma_a", 4>, I32EnumAttrCase<"wgmma_row", 5>]> {
  let cppNamespace = "::mlir::repo::tile";
  let genSpecializedAttr = 0;
}

def RepoTile_Combiner : I32EnumAttr<"Combiner", "how a row is reduced", [
    I32EnumAttrCase<"maximum", 0>, I32EnumAttrCase<"sum", 1>]> {
  let cppNamespace = "::mlir::repo::tile";
  let genSpecializedAttr = 0;
}

def RepoTile_Pairing : I32EnumAttr<"Pairing", "which columns form a pair", [
    I32EnumAttrCase<"half", 0>, I32EnumAttrCase<"interleaved", 1>]> {
  let cppNamespace = "::mlir::repo::tile";
  let genSpecializedAttr = 0;
}

def RepoTile_CombinerAttr : EnumAttr<RepoTile_Dialect, RepoTile_Combiner, "combiner">;
def RepoTile_PairingAttr : EnumAttr<RepoTile_Dialect, RepoTile_Pairing, "pairing">;

def RepoTile_Fragment : TypeDef<RepoTile_Dialect, "Fragment"> {
  let mnemonic = "fragment";
  let summary = "a matrix, or a vector of its rows, in the registers of a warp or warpgroup";
  let description = [{
    See the dialect for the layouts.

    Constraints:
    - (C1) an operand or accumulator has rank 2, a row vector rank 1; all sizes are static.
    - (C2) the rows are a multiple of 16 (`mma`) or 64 (`wgmma`).
    - (C3) the columns are a multiple of 8 (accumulator) or 16 (operand A).
    - (C4) elements: f32 in an accumulator, bf16 or f16 in an operand A, f32 or i32 in
      a row vector.

    Examples: `!repo_tile.fragment<16x64xf32, mma_acc>`, `!repo_tile.fragment<16xf32, mma_row>`.
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape, "::mlir::Type":$elementType,
                        "::mlir::repo::tile::Layout":$layout);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    int64_t getRows() const { return getShape()[0]; }
    int64_t getColumns() const { return getShape().size() > 1 ? getShape()[1] : 1; }
    bool isAccumulator() const;
    bool isOperand() const;
    bool isRow() const;
    /// Whether it belongs to a warpgroup rather than a warp.
    bool isWarpgroup() const;
    /// Rows that the warps of its owner hold in one step: 16 or 64.
    int64_t getRowStep() const { return isWarpgroup() ? 64 : 16; }
    /// Elements that each thread holds.
    int64_t getNumElements() const;
    /// The type of a row vector beside this fragment.
    FragmentType getRowType(Type element) const;
    /// The place of element `index` of a thread relative to the thread's own first
    /// row and column: rows 0 or 8 within step i, columns with t = 0.
    std::pair<int64_t, int64_t> getElementPlace(int64_t index) const;
    /// The element at a place of that form.
    int64_t getElementAt(int64_t row, int64_t column) const;
  }];
}

def RepoTile_Barriers : TypeDef<RepoTile_Dialect, "Barriers"> {
  let mnemonic = "barriers";
  let summary = "barriers in shared memory that count arrivals and bytes, one for each stage";
  let description = [{
    A phase of a barrier is complete after `arrivals` arrivals, and when the bytes that they announced
    have come. Then the next phase begins. (PTX: mbarrier.)

    Constraints:
    - (C1) `stages` and `arrivals` are positive.

    Example: `!repo_tile.barriers<2, arrivals = 1>`.
  }];
  let parameters = (ins "int64_t":$stages, "int64_t":$arrivals);
  let assemblyFormat = "`<` $stages `,` `arrivals` `=` $arrivals `>`";
  let genVerifyDecl = 1;
}

def RepoTile_Pending : TypeDef<RepoTile_Dialect, "Pending"> {
  let mnemonic = "pending";
  let summary = "an accumulator that a product under way will write";
  let description = [{
    The registers of a fragment between `repo_tile.mma_async` and `repo_tile.wait_mma`, which nothing may read or move:
    no other op takes the type.

    Constraints:
    - (C1) the fragment is an accumulator of a warpgroup.

    Example: `!repo_tile.pending<64x128xf32, wgmma_acc>`.
  }];
  let parameters = (ins "::mlir::repo::tile::FragmentType":$accumulator);
  let assemblyFormat = "$accumulator";
  let genVerifyDecl = 1;
}

#endif // REPO_DIALECT_REPOTILE_IR_REPOTILETYPES_TD
