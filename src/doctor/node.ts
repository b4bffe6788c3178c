import { type Finding, ok, problem, warning } from "./finding.js";

export interface NodeProcess {
  /** `v22.20.0`. */
  readonly version: string;
  readonly platform: string;
  readonly arch: string;
  /** Undefined on another C library, such as Alpine's musl, and on other systems than Linux. */
  readonly glibc: string | undefined;
}

/** As package.json has it. */
const OLDEST = [20, 19] as const;

export function checkNode({ version, platform, arch, glibc }: NodeProcess): Finding[] {
  const [major = 0, minor = 0] = version.replace(/^v/, "").split(".").map(Number);
  const old = major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]);
  const libc = glibc === undefined ? "" : `, glibc ${glibc}`;
  return [
    old
      ? problem(
          `Node ${version} is too old`,
          `Install Node ${OLDEST.join(".")} or newer; 22 and 24 are supported, too.`,
        )
      : ok(`Node ${version} on ${platform}/${arch}${libc}`),
    ...(platform === "linux" && glibc === undefined
      ? [
          problem(
            "the C library is not glibc",
            "Use a distribution with glibc (Debian, Ubuntu, RHEL): ONNX Runtime has no build for musl.",
          ),
        ]
      : []),
    ...(platform === "linux"
      ? []
      : [warning(`${platform} is not tested`, "Use Linux, or the container image, where it matters.")]),
  ];
}

export function thisNode(): NodeProcess {
  // What the diagnostic report says of the C library; typed as an opaque object.
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  const { version, platform, arch } = process;
  return { version, platform, arch, glibc: header?.glibcVersionRuntime };
}
