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

/** In the order of the report. Their limits leave time for the rest of a call of ten minutes. */
export const SECTIONS: readonly Section[] = [
  { name: "device memory", limitS: 40, run: measureCopies },
  { name: "rehearsal", limitS: 60, run: rehearseModels },
  { name: "cache moves", limitS: 40, run: measureCacheMoves },
  { name: "the CPU's answers", limitS: 100, run: compareWithCpu },
  { name: "exported graphs", limitS: 40, run: compareExported },
  { name: "fp16 native", limitS: 70, run: (context) => measureDecoding(context, "fp16", "native") },
  { name: "prompt lengths", limitS: 30, run: measurePromptLengths },
  { name: "replay", limitS: 90, run: measureReplay },
  { name: "fp16 node", limitS: 90, run: (context) => measureDecoding(context, "fp16", "node") },
  { name: "q4f16 native", limitS: 70, run: (context) => measureDecoding(context, "q4f16", "native") },
  { name: "q4f16 node", limitS: 90, run: (context) => measureDecoding(context, "q4f16", "node") },
  { name: "bf16 native", limitS: 70, run: (context) => measureDecoding(context, "bf16", "native") },
  { name: "service", limitS: 90, run: measureService },
  { name: "PyTorch", limitS: 60, run: compareWithTorch },
];
