import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { isMainThread } from "node:worker_threads";
import { koffi, type LibraryHandle } from "./koffi.js";
import { isOutOfMemory, NativeError, withoutHostname } from "./native-error.js";
import {
  ERROR_CODES,
  koffiType,
  type NativeFunction,
  ORT_API,
  ORT_API_VERSION,
  type OrtApi,
  type Out,
  type Pointer,
} from "./ort-api.js";

/** A loaded libonnxruntime. */
export interface OrtLibrary {
  readonly path: string;
  /** Held for ever: koffi unloads a library whose handle was collected, under the functions taken from it. */
  readonly handle: LibraryHandle;
  /** e.g. `1.30.0`. */
  readonly version: string;
  readonly api: OrtApi;
}

let loaded: OrtLibrary | undefined;

/**
 * The libonnxruntime inside the installed onnxruntime-node package: one library, and so one environment, in the
 * process whichever way it is called. Throws NativeError `library` when there is none.
 */
export function findOrtLibrary(): string {
  const { platform, arch } = process;
  const folder = join(packageFolder(), "bin", "napi-v6", platform, arch);
  const name =
    platform === "win32" ? "onnxruntime.dll" : platform === "darwin" ? "libonnxruntime.1.dylib" : "libonnxruntime.so.1";
  const path = join(folder, name);
  if (existsSync(path)) return path;
  throw new NativeError("library", `${path} does not exist: onnxruntime-node has no library for ${platform}/${arch}.`);
}

function packageFolder(): string {
  try {
    return dirname(createRequire(import.meta.url).resolve("onnxruntime-node/package.json"));
  } catch (cause) {
    throw new NativeError("library", "The package onnxruntime-node is not installed; run npm install.", { cause });
  }
}

/** Loads the library, once in a process. Throws NativeError `library`. */
export function loadOrtLibrary(path: string = loaded?.path ?? findOrtLibrary()): OrtLibrary {
  if (loaded !== undefined) {
    if (loaded.path === path) return loaded;
    throw new NativeError("misuse", `${loaded.path} is loaded already; a process has one libonnxruntime.`);
  }
  requireTelemetryOff();
  loaded = open(path);
  return loaded;
}

/**
 * The library reads the C environment when it loads. A worker thread's `process.env` is a copy that never reaches it,
 * so there the variable has to come from the process's start.
 */
function requireTelemetryOff(): void {
  if (process.env.ORT_DISABLE_TELEMETRY === "1") return;
  const where = isMainThread ? "" : " of the process, not of this worker thread";
  throw new NativeError(
    "library",
    `Set ORT_DISABLE_TELEMETRY=1 in the environment${where} before ONNX Runtime loads: it would record and send usage data.`,
  );
}

function open(path: string): OrtLibrary {
  try {
    // struct OrtApiBase { const OrtApi* (*GetApi)(uint32_t); const char* (*GetVersionString)(void); }
    const handle = koffi.load(path);
    const base: unknown = handle.func("OrtGetApiBase", "void *", [])();
    const getApi = koffi.decode(koffi.decode(base, "void *"), koffi.proto("void *", ["uint32_t"]));
    const getVersion = koffi.decode(koffi.decode(base, koffi.sizeof("void *"), "void *"), koffi.proto("str", []));
    const version = String(getVersion());
    const table: unknown = getApi(ORT_API_VERSION);
    if (table === null) {
      throw new NativeError("library", `ONNX Runtime ${version} is too old: it has no API version ${ORT_API_VERSION}.`);
    }
    return { path, handle, version, api: decodeTable(table) };
  } catch (cause) {
    if (cause instanceof NativeError) throw cause;
    throw new NativeError("library", `${path} cannot be loaded: ${(cause as Error).message}`, { cause });
  }
}

function decodeTable(table: unknown): OrtApi {
  const pointerBytes = koffi.sizeof("void *");
  const entries = Object.entries(ORT_API).map(([name, { index, returns, args }]) => {
    const address: unknown = koffi.decode(table, index * pointerBytes, "void *");
    return [name, koffi.decode(address, koffi.proto(koffiType(returns), args.map(koffiType)))];
  });
  return Object.freeze(Object.fromEntries(entries)) as OrtApi;
}

/** Calls a function on a thread of koffi's pool; the event loop turns meanwhile. */
export function onAnotherThread<Args extends unknown[], Result>(
  call: NativeFunction<Args, Result>,
  ...args: Args
): Promise<Result> {
  return new Promise((resolve, reject) => {
    call.async(...args, (error, result) => (error === null ? resolve(result) : reject(error)));
  });
}

/** Throws what a status tells, and releases it. `doing` begins the message: "run the model". */
export function check(api: OrtApi, status: Pointer<"Status"> | null, doing: string): void {
  if (status === null) return;
  const code = api.GetErrorCode(status);
  const message = withoutHostname(api.GetErrorMessage(status));
  api.ReleaseStatus(status);
  throw new NativeError(codeOf(code, message), `ONNX Runtime could not ${doing}: ${message}`);
}

function codeOf(code: number, message: string): NativeError["code"] {
  // Neither has a code of its own.
  if (isOutOfMemory(message)) return "out_of_memory";
  if (/terminate flag/.test(message)) return "terminated";
  return ERROR_CODES[code] ?? "failed";
}

/** The value that a successful call stored. */
export function stored<T>(out: Out<T>): T {
  const [value] = out;
  if (value === null) throw new NativeError("failed", "Native code reported success and gave nothing.");
  return value;
}
