"""Attention compiled by IREE, in the form that it compiles best for CPUs.

`pip install iree-base-compiler iree-base-runtime`. IREE 3.13 runs its own attention op for the CPU at one or two GFLOP/s;
two batched products with the masked scale and linalg.softmax between them reach twenty times that, so this is the peer. It is given
rotated inputs, and keeps all scores in memory.
"""

import functools

import numpy as np

NAME = "IREE (products and softmax)"

_SOURCE = """
#rows = affine_map<(b, m, n, k) -> (b, m, k)>
#columns = affine_map<(b, m, n, k) -> (b, n, k)>
#result = affine_map<(b, m, n, k) -> (b, m, n)>
#same = affine_map<(b, m, n) -> (b, m, n)>
func.func @attention(%q: !qkv, %k: !qkv, %v: !qkv) -> !qkv {
  %scale = arith.constant {scale} : f32
  %zero = arith.constant 0.0 : f32
  %hidden = arith.constant -1.0e30 : f32
  %empty = tensor.empty() : !scores
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : !scores) -> !scores
  %products = linalg.batch_matmul indexing_maps = [#rows, #columns, #result]
      ins(%q, %k : !qkv, !qkv) outs(%zeros : !scores) -> !scores
  %scores = linalg.generic {indexing_maps = [#same, #same], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%products : !scores) outs(%empty : !scores) {
  ^bb0(%product: f32, %old: f32):
    %i = linalg.index 1 : index
    %j = linalg.index 2 : index
    %visible = arith.cmpi sle, %j, %i : index
    %scaled = arith.mulf %product, %scale : f32
    %score = arith.select %visible, %scaled, %hidden : f32
    linalg.yield %score : f32
  } -> !scores
  %p = linalg.softmax dimension(2) ins(%scores : !scores) outs(%empty : !scores) -> !scores
  %nothing = tensor.empty() : !qkv
  %sums = linalg.fill ins(%zero : f32) outs(%nothing : !qkv) -> !qkv
  %o = linalg.batch_matmul ins(%p, %v : !scores, !qkv) outs(%sums : !qkv) -> !qkv
  return %o : !qkv
}
"""


@functools.cache
def _device(threads):
    from iree import runtime
    if threads == 1:
        return runtime.get_driver("local-sync").create_default_device()
    runtime.flags.parse_flags(f"--task_topology_group_count={threads}")  # read when the driver is made, once a process
    return runtime.get_driver("local-task").create_default_device()


def attention(q, k, v, threads):
    """A call of causal attention of q, k, v [1, H, N, D] in float32, or None without IREE."""
    try:
        from iree import compiler, runtime
    except ImportError:
        return None
    heads, length, size = q.shape[1:]
    source = _SOURCE.replace("{scale}", f"{size ** -0.5:.9e}")
    for name, shape in (("!qkv", (heads, length, size)), ("!scores", (heads, length, length))):
        source = source.replace(name, "tensor<" + "x".join(map(str, shape)) + "xf32>")
    code = compiler.compile_str(source, target_backends=["llvm-cpu"],
                                extra_args=["--iree-llvmcpu-target-cpu=host", "--iree-opt-level=O3"])
    device = _device(threads)
    context = runtime.SystemContext(config=runtime.Config(device=device))
    context.add_vm_module(runtime.VmModule.copy_buffer(context.instance, code))
    function = context.modules.module["attention"]
    inputs = [runtime.asdevicearray(device, np.ascontiguousarray(x[0])) for x in (q, k, v)]
    return lambda: function(*inputs).to_host()
