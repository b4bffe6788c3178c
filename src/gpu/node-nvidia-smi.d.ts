/** The package ships no types. It runs `nvidia-smi -q -x` and hands over the parsed document. */
declare module "node-nvidia-smi" {
  export default function smi(callback: (error: unknown, document: unknown) => void): void;
}
