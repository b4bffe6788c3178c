import { measureCopies } from "./bandwidth.js";
import { measureCacheMoves } from "./cache-moves.js";
import { measureDecoding } from "./decoding.js";
import { compareExported } from "./exported.js";
import { compareWithCpu } from "./parity.js";
import { measurePromptLengths } from "./prompt-lengths.js";
import { rehearseModels } from "./rehearsal.js";
import { measureReplay } from "./replay.js";
import type { Section } from "./section.js";
import { measureService } from "./service.js";
import { compareWithTorch } from "./torch.js";

/** Seconds that one call of the command takes at most: with its start and end, less than ten minutes. */
export const CALL_S = 560;

/**
 * What is known soonest and what matters most comes first: whether the device works and its answers are right, then how fast
 * they come against the node runner, then the rest. Their limits add up to less than two calls.
 */
export const SECTIONS: readonly Section[] = [
  { name: "device memory", limitS: 60, run: measureCopies },
  { name: "exported graphs", limitS: 60, run: compareExported },
  { name: "rehearsal", limitS: 100, run: rehearseModels },
  { name: "the CPU's answers", limitS: 110, run: compareWithCpu },
  { name: "cache moves", limitS: 40, run: measureCacheMoves },
  { name: "fp16 native", limitS: 80, run: (context) => measureDecoding(context, "fp16", "native") },
  { name: "fp16 node", limitS: 90, run: (context) => measureDecoding(context, "fp16", "node") },
  { name: "replay", limitS: 90, run: measureReplay },
  { name: "prompt lengths", limitS: 30, run: measurePromptLengths },
  { name: "PyTorch", limitS: 90, run: compareWithTorch },
  { name: "service", limitS: 90, run: measureService },
  { name: "q4f16 native", limitS: 80, run: (context) => measureDecoding(context, "q4f16", "native") },
  { name: "bf16 native", limitS: 80, run: (context) => measureDecoding(context, "bf16", "native") },
  { name: "q4f16 node", limitS: 90, run: (context) => measureDecoding(context, "q4f16", "node") },
];
