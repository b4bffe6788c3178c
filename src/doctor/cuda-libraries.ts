import { type Finding, ok, problem, warning } from "./finding.js";
import type { GpuProbe } from "./gpu-probe.js";
import { closureOf, findLibrary, type LoaderWorld } from "./library-search.js";

export interface CudaWorld extends LoaderWorld {
  /** ONNX Runtime's CUDA provider; undefined where it is not installed. */
  readonly provider: string | undefined;
  readonly gpus: GpuProbe;
  /** A GPU is asked for by name; otherwise what is missing only means the CPU. */
  readonly required: boolean;
}

const FETCH = "ONNXRUNTIME_NODE_INSTALL=true node node_modules/onnxruntime-node/script/install.js";
/** Of the driver, which a container gets from its host. */
const DRIVER = "libcuda.so.1";
/** Loaded when a graph has a convolution, which decoders have not. */
const CUDNN = "libcudnn.so.9";

/** What the CUDA provider is linked to, and which of it this machine has. */
export function checkCudaLibraries(world: CudaWorld): Finding[] {
  const { provider, required, gpus } = world;
  const amiss = required ? problem : warning;
  if (provider === undefined) {
    const cure = `Fetch it with "${FETCH}", use the GPU image, or ask for --device cpu.`;
    if (required) return [problem("ONNX Runtime's CUDA provider is not installed", cure)];
    return gpus.kind === "driver" && gpus.gpus.length > 0
      ? [warning("there is a GPU, but ONNX Runtime's CUDA provider is not installed", cure)]
      : [ok("ONNX Runtime's CUDA provider is not installed, and not needed")];
  }
  const needed = world.dynamicSection(provider)?.needed ?? [];
  const major = cudaMajor(needed);
  if (major === undefined) {
    return [amiss(`${provider} is no library that names a CUDA runtime`, `Fetch it again: ${FETCH}.`)];
  }
  const { found, missing } = closureOf(provider, world);
  const libraries = missing.filter(({ name }) => name !== DRIVER).map(({ name }) => name);
  const cuda = [...found].filter(([name]) => /^lib(cu|nv)/.test(name));
  return [
    ok(`the CUDA provider is linked to CUDA ${major}`),
    ...(libraries.length === 0
      ? [ok(`its libraries are here: ${cuda.map(([name]) => name).join(", ")}`)]
      : [amiss(`it needs ${libraries.join(", ")}, and the loader finds no such file`, cureFor(libraries, major))]),
    ...(missing.some(({ name }) => name === DRIVER)
      ? [
          amiss(
            `it needs ${DRIVER}, which comes with the driver`,
            "Install NVIDIA's driver; in a container start it with --gpus all.",
          ),
        ]
      : []),
    ...driverFor(major, gpus, amiss),
    findLibrary(CUDNN, provider, [], world) === undefined
      ? ok(`no cuDNN (${CUDNN}): decoders need none`)
      : ok(`cuDNN (${CUDNN}) is here; decoders need none`),
  ];
}

/** From what it is linked to, whatever its installer calls it. */
function cudaMajor(needed: readonly string[]): number | undefined {
  const name = needed.find((one) => /^libcudart\.so\.\d+$/.test(one)) ?? needed.find((one) => /^libcublas/.test(one));
  const major = Number(/\.so\.(\d+)/.exec(name ?? "")?.[1]);
  return Number.isNaN(major) ? undefined : major;
}

function cureFor(libraries: readonly string[], major: number): string {
  const cuda = libraries.some((name) => /^lib(cu|nv)/.test(name));
  return cuda
    ? `Install the runtime libraries of CUDA ${major} and add their folder to LD_LIBRARY_PATH, or use the GPU image.`
    : "Install the distribution's packages that have them, or use the GPU image.";
}

function driverFor(major: number, gpus: GpuProbe, amiss: typeof problem): Finding[] {
  if (gpus.kind !== "driver" || Number.parseInt(gpus.cudaVersion, 10) >= major) return [];
  const what = `driver ${gpus.driverVersion} runs CUDA ${gpus.cudaVersion} at most, and the provider needs CUDA ${major}`;
  const compatible = `cuda-compat-${major}-0`;
  const cure =
    `Install a newer driver (${major === 13 ? "580" : "525"} or later), or on a data-centre GPU NVIDIA's package ${compatible} ` +
    "with its folder first in LD_LIBRARY_PATH; or ask for --device cpu.";
  return [amiss(what, cure)];
}
