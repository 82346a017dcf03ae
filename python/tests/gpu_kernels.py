"""Small kernels in the NVVM dialect, to test the emulator without the passes that write kernels.

Both compute C = A B^T in bf16 with f32 accumulators: `mma_gemm` with cp.async, ldmatrix and mma.sync,
`wgmma_gemm` with TMA, mbarriers, warp specialisation and wgmma.
"""


class Writer:
    """Emits operations; constants are made on demand, at the head of the function."""

    def __init__(self):
        self.lines, self.constants, self.count = [], {}, 0

    def __call__(self, line):
        self.lines.append(line)

    def op(self, text):
        self.count += 1
        self(f"%v{self.count} = {text}")
        return f"%v{self.count}"

    def c(self, value, type="i32"):
        name = f"%c{str(value).replace('-', 'm')}_{type}"
        self.constants[name] = f"{name} = llvm.mlir.constant({value} : {type}) : {type}"
        return name

    def binary(self, op, x, y, type="i32"):
        x, y = (self.c(v, type) if isinstance(v, int) else v for v in (x, y))
        return self.op(f"llvm.{op} {x}, {y} : {type}")

    def add(self, x, y, type="i32"):
        return self.binary("add", x, y, type)

    def mul(self, x, y):
        return self.binary("mul", x, y)

    def shared(self, offset):
        offset = self.c(offset) if isinstance(offset, int) else offset
        return self.op(f"llvm.getelementptr %smem[{offset}] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8")

    def element(self, pointer, index, type):
        wide = self.op(f"llvm.zext {index} : i32 to i64")
        return self.op(f"llvm.getelementptr {pointer}[{wide}] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, {type}")

    def function(self, name, arguments, threads):
        body = "\n".join("    " + line for line in list(self.constants.values()) + self.lines)
        return f"""gpu.module @kernels {{
  llvm.mlir.global external @smem() {{addr_space = 3 : i32, alignment = 1024 : i64}} : !llvm.array<0 x i8>
  llvm.func @{name}({arguments}) attributes {{nvvm.kernel, gpu.kernel, nvvm.maxntid = array<i32: {threads}, 1, 1>, nvvm.minctasm = 1 : i32}} {{
    %smem = llvm.mlir.addressof @smem : !llvm.ptr<3>
{body}
    llvm.return
  }}
}}
"""


def mma_gemm():
    """C[M,N] f32 from A[M,K], B[N,K] bf16: 64 threads make a tile of 32 x 16, K in steps of 32, two stages.

    Grid (N/16, M/32); arguments A, B, C, K, N; 7680 bytes of shared memory."""
    w = Writer()
    row_bytes, b_offset, stage_bytes = 80, 32 * 80, 48 * 80
    w("%tid = nvvm.read.ptx.sreg.tid.x : i32")
    w("%bn = nvvm.read.ptx.sreg.ctaid.x : i32")
    w("%bm = nvvm.read.ptx.sreg.ctaid.y : i32")
    lane, warp = w.binary("and", "%tid", 31), w.binary("lshr", "%tid", 5)
    row, chunk = w.binary("lshr", "%tid", 2), w.binary("and", "%tid", 3)
    steps = w.binary("lshr", "%k", 5)

    def load(step, stage):
        column = w.add(w.mul(step, 32), w.mul(chunk, 8))
        base = w.mul(stage, stage_bytes)
        for matrix, first, offset, rows in (("%a", w.mul("%bm", 32), 0, (0, 16)), ("%b", w.mul("%bn", 16), b_offset, (0,))):
            for extra in rows:
                r = w.add(row, extra)
                source = w.element(matrix, w.add(w.mul(w.add(first, r), "%k"), column), "bf16")
                to = w.add(w.add(base, offset), w.add(w.mul(r, row_bytes), w.mul(chunk, 16)))
                w(f"nvvm.cp.async.shared.global {w.shared(to)}, {source}, 16, cache = cg : !llvm.ptr<3>, !llvm.ptr<1>")

    load(w.c(0), w.c(0))
    w("nvvm.cp.async.commit.group")
    zero = w.c("0.0", "f32")
    names = [f"%acc{i}" for i in range(8)]
    w(f"%r:8 = scf.for %i = {w.c(0)} to {steps} step {w.c(1)} iter_args({', '.join(f'{n} = {zero}' for n in names)}) -> ({', '.join(['f32'] * 8)}) : i32 {{")
    following = w.add("%i", 1)
    more = w.op(f'llvm.icmp "ult" {following}, {steps} : i32')
    w(f"scf.if {more} {{")
    load(following, w.binary("and", following, 1))
    w("}")
    w("nvvm.cp.async.commit.group")
    w("nvvm.cp.async.wait.group 1")
    w("nvvm.barrier")
    stage = w.mul(w.binary("and", "%i", 1), stage_bytes)
    accumulators = names
    struct4 = "!llvm.struct<(i32, i32, i32, i32)>"

    def load_matrix(r, ch, offset):
        address = w.add(w.add(stage, offset), w.add(w.mul(r, row_bytes), w.mul(ch, 16)))
        x = w.op(f"nvvm.ldmatrix {w.shared(address)} {{layout = #nvvm.mma_layout<row>, num = 4 : i32, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>}} : (!llvm.ptr<3>) -> {struct4}")
        return [w.op(f"llvm.extractvalue {x}[{i}] : {struct4}") for i in range(4)]

    for kk in (0, 1):
        a = load_matrix(w.add(w.mul(warp, 16), w.binary("and", lane, 15)), w.add(w.binary("lshr", lane, 4), 2 * kk), 0)
        b_row = w.add(w.binary("and", lane, 7), w.mul(w.binary("lshr", lane, 4), 8))
        b = load_matrix(b_row, w.add(w.binary("and", w.binary("lshr", lane, 3), 1), 2 * kk), b_offset)
        new = []
        for n in (0, 1):
            c = accumulators[4 * n:4 * n + 4]
            d = w.op(f"nvvm.mma.sync A[{', '.join(a)}] B[{b[2 * n]}, {b[2 * n + 1]}] C[{', '.join(c)}] {{layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, multiplicandAPtxType = #nvvm.mma_type<bf16>, multiplicandBPtxType = #nvvm.mma_type<bf16>, shape = #nvvm.shape<m = 16, n = 8, k = 16>}} : (i32, i32, f32) -> !llvm.struct<(f32, f32, f32, f32)>")
            new += [w.op(f"llvm.extractvalue {d}[{i}] : !llvm.struct<(f32, f32, f32, f32)>") for i in range(4)]
        accumulators = new
    w("nvvm.barrier")
    w(f"scf.yield {', '.join(accumulators)} : {', '.join(['f32'] * 8)}")
    w("}")
    c_row = w.add(w.add(w.mul("%bm", 32), w.mul(warp, 16)), w.binary("lshr", lane, 2))
    c_column = w.add(w.mul("%bn", 16), w.mul(w.binary("and", lane, 3), 2))
    for n in (0, 1):
        for i in range(4):
            index = w.add(w.mul(w.add(c_row, 8 * (i // 2)), "%n"), w.add(c_column, 8 * n + i % 2))
            w(f"llvm.store %r#{4 * n + i}, {w.element('%c', index, 'f32')} : f32, !llvm.ptr<1>")
    return w.function("mma_gemm", "%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %c: !llvm.ptr<1>, %k: i32, %n: i32", 64)


def wgmma_gemm(stages=2, register_a=False):
    """C[M,N] f32 from A[M,K], B[N,K] bf16: a producer and a consumer warpgroup make a tile of 64 x 64, K in steps of
    64. Grid (N/64, M/64); arguments: tensor maps of A and B (boxes of 64 x 64, 128-byte swizzle), C, K, N.

    register_a: A's fragments go through ldmatrix to registers. Shared memory: `wgmma_shared(stages)` bytes."""
    w = Writer()
    tile, barriers = 64 * 128, 2 * stages * 64 * 128
    w("%tid = nvvm.read.ptx.sreg.tid.x : i32")
    w("%bn = nvvm.read.ptx.sreg.ctaid.x : i32")
    w("%bm = nvvm.read.ptx.sreg.ctaid.y : i32")
    steps = w.binary("lshr", "%k", 6)
    group = w.binary("lshr", "%tid", 7)

    def barrier(kind, stage):
        return w.shared(w.add(w.mul(stage, 8), barriers + 8 * stages * kind))

    def wait(b, parity):
        w(f"nvvm.mbarrier.try_wait.parity {b}, {parity}, {w.c(10000000)} : !llvm.ptr<3>, i32, i32")

    def stage_and_parity(step):
        return w.binary("urem", step, stages), w.binary("and", w.binary("udiv", step, stages), 1)

    first = w.op(f'llvm.icmp "eq" %tid, {w.c(0)} : i32')
    w(f"scf.if {first} {{")
    for kind in (0, 1):
        for stage in range(stages):
            w(f"nvvm.mbarrier.init {w.shared(barriers + 8 * (stages * kind + stage))}, {w.c(1)} : !llvm.ptr<3>, i32")
    w("nvvm.fence.mbarrier.init")
    w("}")
    w("nvvm.barrier")
    produces = w.op(f'llvm.icmp "eq" {group}, {w.c(0)} : i32')
    w(f"scf.if {produces} {{")
    w("nvvm.setmaxregister decrease 24")
    w(f"scf.if {first} {{")
    w(f"scf.for %i = {w.c(0)} to {steps} step {w.c(1)} : i32 {{")
    stage, parity = stage_and_parity("%i")
    wait(barrier(1, stage), w.binary("xor", parity, 1))
    full = barrier(0, stage)
    w(f"nvvm.mbarrier.arrive.expect_tx {full}, {w.c(2 * tile)} : !llvm.ptr<3>, i32")
    column = w.mul("%i", 64)
    for matrix, block, offset in (("%a", "%bm", 0), ("%b", "%bn", stages * tile)):
        to = w.shared(w.add(w.mul(stage, tile), offset))
        w(f"nvvm.cp.async.bulk.tensor.shared.cluster.global {to}, {matrix}, {full}, box[{column}, {w.mul(block, 64)}] {{isCTAOnly = true}} : !llvm.ptr<3>, !llvm.ptr")
    w("}")
    w("}")
    w("} else {")
    w("nvvm.setmaxregister increase 240")
    thread = w.binary("and", "%tid", 127)
    lane, warp = w.binary("and", thread, 31), w.binary("lshr", thread, 5)
    leads = w.op(f'llvm.icmp "eq" {thread}, {w.c(0)} : i32')
    base = w.op("llvm.ptrtoint %smem : !llvm.ptr<3> to i32")
    zero = w.c("0.0", "f32")
    names = [f"%acc{i}" for i in range(32)]
    struct = "!llvm.struct<(" + ", ".join(["f32"] * 32) + ")>"

    def descriptor(stage, offset):
        address = w.binary("lshr", w.add(w.add(base, offset), w.mul(stage, tile)), 4)
        wide = w.op(f"llvm.zext {w.binary('and', address, 0x3fff)} : i32 to i64")
        return w.binary("or", wide, 1 << 16 | 64 << 32 | 1 << 62, "i64")

    def assembly(text, constraints, arguments, types):
        x = w.op(f'llvm.inline_asm has_side_effects asm_dialect = att "{text}", "{constraints}" {", ".join(arguments)} : ({", ".join(types)}) -> {struct}')
        return [w.op(f"llvm.extractvalue {x}[{i}] : {struct}") for i in range(32)]

    w(f"%r:32 = scf.for %i = {w.c(0)} to {steps} step {w.c(1)} iter_args({', '.join(f'{n} = {zero}' for n in names)}) -> ({', '.join(['f32'] * 32)}) : i32 {{")
    stage, parity = stage_and_parity("%i")
    wait(barrier(0, stage), parity)
    tied, outputs = ",".join(str(i) for i in range(32)), ",".join(["=f"] * 32)
    registers = ", ".join(f"${i}" for i in range(32))
    text = "{\\0A.reg .b64 da, db;\\0A.reg .pred p;\\0Asetp.ne.b32 p, 1, 0;\\0Awgmma.fence.sync.aligned;\\0A"
    a_values, a_types, a_constraint = [descriptor(stage, 0)], ["i64"], "l"
    if register_a:
        a_values, a_types = [], ["i32"] * 16
        a_constraint = ",".join(["r"] * 16)
        struct4 = "!llvm.struct<(i32, i32, i32, i32)>"
        for k in range(4):
            r = w.add(w.mul(warp, 16), w.binary("and", lane, 15))
            chunk = w.binary("xor", w.add(w.binary("lshr", lane, 4), 2 * k), w.binary("and", r, 7))
            address = w.add(w.mul(stage, tile), w.add(w.mul(r, 128), w.mul(chunk, 16)))
            x = w.op(f"nvvm.ldmatrix {w.shared(address)} {{layout = #nvvm.mma_layout<row>, num = 4 : i32, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>}} : (!llvm.ptr<3>) -> {struct4}")
            a_values += [w.op(f"llvm.extractvalue {x}[{i}] : {struct4}") for i in range(4)]
    b_index = 64 + len(a_values)
    for k in range(4):
        if register_a:
            a = "{" + ", ".join(f"${64 + 4 * k + i}" for i in range(4)) + "}"
        else:
            text += f"add.s64 da, $64, {2 * k};\\0A"
            a = "da"
        text += f"add.s64 db, ${b_index}, {2 * k};\\0A"
        text += f"wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {{{registers}}}, {a}, db, p, 1, 1, {'' if register_a else '0, '}0;\\0A"
    text += "wgmma.commit_group.sync.aligned;\\0A}"
    accumulators = assembly(text, f"{outputs},{tied},{a_constraint},l,~{{memory}}", names + a_values + [descriptor(stage, stages * tile)],
                            ["f32"] * 32 + a_types + ["i64"])
    accumulators = assembly("wgmma.wait_group.sync.aligned 0;", f"{outputs},{tied},~{{memory}}", accumulators, ["f32"] * 32)
    if register_a:
        # ldmatrix of four warps: all have read before one thread gives the stage back.
        w(f"nvvm.barrier id = {w.c(1)} number_of_threads = {w.c(128)}")
    w(f"scf.if {leads} {{")
    w.op(f"nvvm.mbarrier.arrive {barrier(1, stage)} : !llvm.ptr<3> -> i64")
    w("}")
    w(f"scf.yield {', '.join(accumulators)} : {', '.join(['f32'] * 32)}")
    w("}")
    row = w.add(w.add(w.mul("%bm", 64), w.mul(warp, 16)), w.binary("lshr", lane, 2))
    column = w.add(w.mul("%bn", 64), w.mul(w.binary("and", lane, 3), 2))
    for q in range(8):
        for i in range(4):
            index = w.add(w.mul(w.add(row, 8 * (i // 2)), "%n"), w.add(column, 8 * q + i % 2))
            w(f"llvm.store %r#{4 * q + i}, {w.element('%c', index, 'f32')} : f32, !llvm.ptr<1>")
    w("}")
    map_type = "!llvm.ptr {llvm.byval = !llvm.array<128 x i8>, llvm.align = 64 : i64, nvvm.grid_constant}"
    return w.function("wgmma_gemm", f"%a: {map_type}, %b: {map_type}, %c: !llvm.ptr<1>, %k: i32, %n: i32", 256)


def wgmma_program():
    """A function `f` on tensors that launches `wgmma_gemm`: c updated in place."""
    map_type = ("!nvgpu.tensormap.descriptor<tensor = memref<64x64xbf16, 3>, swizzle = swizzle_128b, l2promo = l2promo_256b, "
                "oob = zero, interleave = none>")
    buffer = "memref<?x?x{}, strided<[?, 1], offset: ?>>"
    half, full = buffer.format("bf16"), buffer.format("f32")
    return f"""module attributes {{gpu.container_module}} {{
{wgmma_gemm()}
func.func @f(%a: tensor<?x?xbf16>, %b: tensor<?x?xbf16>, %c: tensor<?x?xf32> {{repo.inout = 0 : index}}) -> tensor<?x?xf32> {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c64 = arith.constant 64 : index
  %c256 = arith.constant 256 : index
  %shared = arith.constant {wgmma_shared()} : i32
  %m = tensor.dim %a, %c0 : tensor<?x?xbf16>
  %k = tensor.dim %a, %c1 : tensor<?x?xbf16>
  %n = tensor.dim %b, %c0 : tensor<?x?xbf16>
  %gm = arith.ceildivui %m, %c64 : index
  %gn = arith.ceildivui %n, %c64 : index
  %k32 = arith.index_cast %k : index to i32
  %n32 = arith.index_cast %n : index to i32
  %am = bufferization.to_buffer %a read_only : tensor<?x?xbf16> to {half}
  %bm = bufferization.to_buffer %b read_only : tensor<?x?xbf16> to {half}
  %cm = bufferization.to_buffer %c : tensor<?x?xf32> to {full}
  %au = memref.cast %am : {half} to memref<*xbf16>
  %bu = memref.cast %bm : {half} to memref<*xbf16>
  %amap = nvgpu.tma.create.descriptor %au box[%c64, %c64] : memref<*xbf16> -> {map_type}
  %bmap = nvgpu.tma.create.descriptor %bu box[%c64, %c64] : memref<*xbf16> -> {map_type}
  %address = memref.extract_aligned_pointer_as_index %cm : {full} -> index
  gpu.launch_func @kernels::@wgmma_gemm blocks in (%gn, %gm, %c1) threads in (%c256, %c1, %c1) dynamic_shared_memory_size %shared
    args(%amap : {map_type}, %bmap : {map_type}, %address : index, %k32 : i32, %n32 : i32)
  %r = bufferization.to_tensor %cm restrict writable : {full} to tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}}
}}
"""


def wgmma_shared(stages=2):
    return 2 * stages * 64 * 128 + 16 * stages
