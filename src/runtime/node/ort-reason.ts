/** Before what ONNX Runtime has to say: file, line and function of its source, and a code's number and name. */
const ORIGIN = /^.*\[ONNXRuntimeError\] : \d+ : \w+ : /s;
/** Of CUDA and its libraries: what it was called for comes last, behind the machine's name and a source file's. */
const CUDA_FAILURE = /\b(\w+ failure \d+: [^;]*?) ;.*? expr=(.*?);?\s*$/s;

/** ONNX Runtime's words for what went wrong, in one line and without the places in its source. */
export function ortReason(message: string): string {
  const [, failure, call] = CUDA_FAILURE.exec(message) ?? [];
  const said = failure === undefined ? message.replace(ORIGIN, "") : `${failure} (${call})`;
  return said.replace(/\s+/g, " ").trim().replace(/\.$/, "");
}
