# How the lit tests run: formats, tools, substitutions.

import glob
import os
import sys

import lit.formats
import lit.util
from lit.llvm import llvm_config

config.name = "repo"
config.test_format = lit.formats.ShTest(True)
config.suffixes = [".mlir", ".test"]
config.excludes = ["CMakeLists.txt", "Inputs", "golden", "Unit"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.repo_obj_root, "test")

llvm_config.with_system_environment(["HOME", "TMP", "TEMP"])
llvm_config.use_default_substitutions()
llvm_config.with_environment("PATH", config.llvm_tools_dir, append_path=True)
llvm_config.add_tool_substitutions(
    ["repo-opt", "repo-compile", "repo-emulate", "repo-run", "repo-reduce", "repo-lsp-server", "mlir-opt", "mlir-runner"],
    [config.repo_tools_dir, config.llvm_tools_dir],
)

# A toolkit's ptxas, or that of the package which scripts/setup.sh installs where there is no toolkit.
wheels = glob.glob(os.path.join(config.test_source_root, "..", ".venv/lib/python3*/site-packages/nvidia/cu*/bin/ptxas"))
if lit.util.which("ptxas", config.environment["PATH"] + os.pathsep + "/usr/local/cuda/bin"):
    config.available_features.add("ptxas")
elif wheels:
    config.environment["REPO_PTXAS"] = os.path.abspath(wheels[0])
    config.available_features.add("ptxas")

config.substitutions.append(("%scripts", os.path.join(config.test_source_root, "..", "scripts")))
config.substitutions.append(("%python", '"%s"' % sys.executable))
config.substitutions.append(("%docs", os.path.join(config.repo_obj_root, "docs")))
config.substitutions.append(("%golden", os.path.join(config.test_source_root, "golden")))

# Runs what `repo-decompose` leaves, with upstream passes alone: the ops' meaning
# is tested without any lowering of ours.
lower = (
    "convert-elementwise-to-linalg,canonicalize,one-shot-bufferize{bufferize-function-boundaries=true "
    "function-boundary-type-conversion=identity-layout-map},"
    "buffer-deallocation-pipeline,convert-linalg-to-loops,lower-affine,"
    "expand-strided-metadata,lower-affine,arith-expand{include-bf16=true},"
    "convert-scf-to-cf,convert-math-to-libm,convert-to-llvm,"
    "reconcile-unrealized-casts"
)
libraries = ",".join(
    os.path.join(config.llvm_lib_dir, name)
    for name in ("libmlir_c_runner_utils.so", "libmlir_runner_utils.so")
)
config.substitutions.append(
    (
        "%run_decomposed",
        "mlir-opt --pass-pipeline='builtin.module(%s)' | mlir-runner "
        "-entry-point-result=void -shared-libs=%s" % (lower, libraries),
    )
)
config.substitutions.append(
    ("%mlir_c_runner_utils", os.path.join(config.llvm_lib_dir, "libmlir_c_runner_utils.so")))
config.substitutions.append(("%plugin", os.path.join(config.repo_obj_root, "lib", "repo-plugin.so")))
