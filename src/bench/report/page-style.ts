/** Colours by role, for light and dark; pictures and page share them. */
const COLOURS = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --panel: #f7f8fa; --edge: #e3e6ea; --ink: #1c2128; --quiet: #5d6672; --grid: #e6e9ed; --axis: #aab2bc;
  --tone-1: #7fb2e5; --tone-2: #2f7fc4; --tone-3: #164a7a; --rival-1: #eebb85; --rival-2: #d07a1c; --rival-3: #8a4a06; --third-1: #9ed3b1; --third-2: #2f9e62; --third-3: #15603a;
  --bad: #cf3f4f; --idle: #b7bec8;
  --client-queue: #8a94a1; --network: #c9a66b; --queue: #e5a823; --tokenize: #4fb3bf; --kv-allocate: #8c6bc8; --prefill: #2f7fc4; --decode: #3aa76d; --write: #d277a8; --other: #cfd4da;
}`;

const DARK = `
:root {
  --paper: #14171c; --panel: #1b1f26; --edge: #2c323b; --ink: #e4e8ed; --quiet: #98a2af; --grid: #292f38; --axis: #56606d;
  --tone-1: #2f6aa3; --tone-2: #5ba3e6; --tone-3: #b5d7f7; --rival-1: #8f5716; --rival-2: #e39a48; --rival-3: #f8d5ab; --third-1: #27704a; --third-2: #55c18a; --third-3: #bdebd0;
  --bad: #ef6b78; --idle: #4a525e;
  --client-queue: #78828f; --network: #a98a55; --queue: #d9a437; --tokenize: #4aa5b0; --kv-allocate: #9b7fd1; --prefill: #4b93d6; --decode: #46b07a; --write: #c977a3; --other: #4a525e;
}`;

const SHAPES = `
.plot { font: 11.5px system-ui, -apple-system, "Segoe UI", sans-serif; fill: var(--ink) }
.plot text { fill: var(--ink) }
.plot .heading { font-size: 14px; font-weight: 600 }
.plot .tick, .plot .unit, .plot .mark-text { fill: var(--quiet); font-variant-numeric: tabular-nums }
.plot .mark-text { font-size: 10px }
.plot .row { font-weight: 500 }
.grid { stroke: var(--grid); stroke-width: 1 }
.axis { stroke: var(--axis); stroke-width: 1 }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }
.whisker { stroke-width: 5; stroke-linecap: round; opacity: .3 }
.dot { stroke: var(--panel); stroke-width: 1.5 }
.target { fill: transparent; stroke: none }
.limit { stroke: var(--bad); stroke-width: 1.2; stroke-dasharray: 5 4 }
.plot .limit-text { fill: var(--bad); font-size: 10.5px }
.area { fill: var(--tone-2); opacity: .55 }
.mark { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 2 2; opacity: .75 }
.mark.median { stroke-dasharray: none; stroke-width: 1.5; opacity: 1 }
.state.wait { fill: var(--idle) } .state.first { fill: var(--queue) } .state.rest { fill: var(--decode) }
.state.failed { fill: var(--bad) } .state.cancelled { fill: var(--kv-allocate) }
${["client-queue", "network", "queue", "tokenize", "kv-allocate", "prefill", "decode", "write", "other"]
  .map((part) => `.part.${part} { fill: var(--${part}) }`)
  .join("\n")}
${["tone", "rival", "third"]
  .flatMap((family) => [1, 2, 3].map((step) => `${family}-${step}`))
  .map((tone) => `.line.${tone}, .whisker.${tone} { stroke: var(--${tone}) } .dot.${tone} { fill: var(--${tone}) }`)
  .join("\n")}`;

const PAGE = `
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif }
main { max-width: 66rem; margin: 0 auto; padding: 2.2rem 1.2rem 4rem }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.015em }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .3rem; letter-spacing: -.005em }
p { margin: .3rem 0 .8rem; max-width: 50rem }
.quiet, figcaption { color: var(--quiet) }
code { font: .88em ui-monospace, "SF Mono", Menlo, monospace; overflow-wrap: anywhere }
.command { display: block; background: var(--panel); border: 1px solid var(--edge); border-radius: 8px; padding: .55rem .8rem; margin: .9rem 0 }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: .8rem; margin: 1.2rem 0 }
.fact { background: var(--panel); border: 1px solid var(--edge); border-radius: 10px; padding: .7rem .9rem }
.fact b { display: block; font-size: 1.45rem; font-weight: 600; letter-spacing: -.02em; font-variant-numeric: tabular-nums }
.fact span { color: var(--quiet); font-size: .86rem }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: .9rem }
figure { margin: .8rem 0; background: var(--panel); border: 1px solid var(--edge); border-radius: 10px; padding: .8rem .8rem .5rem; min-width: 0 }
.plots figure { margin: 0 }
svg.plot { display: block; width: 100%; height: auto }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; width: 100% }
caption { text-align: left; color: var(--quiet); padding: .2rem 0 }
th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--edge) }
th { font-weight: 600; color: var(--quiet) }
th:first-child, td:first-child { text-align: left; padding-left: .2rem }
tbody th { color: var(--ink); font-weight: 500 }
details { margin: .3rem 0 }
summary { cursor: pointer; color: var(--quiet); font-size: .88rem }
a { color: var(--tone-2) }
:focus-visible { outline: 2px solid var(--tone-2); outline-offset: 2px }
.zoomable { cursor: crosshair }
button { font: inherit; font-size: .85rem; color: var(--ink); background: var(--paper); border: 1px solid var(--edge); border-radius: 6px; padding: .1rem .6rem; cursor: pointer }
#tip { position: fixed; z-index: 1; pointer-events: none; max-width: 24rem; padding: .35rem .6rem; border-radius: 6px; background: var(--ink); color: var(--paper); font-size: .82rem; overflow-wrap: anywhere }
#tip[hidden] { display: none }
@media print { button, details:not([open]) { display: none } figure { break-inside: avoid } main { max-width: none; padding: 0 } }`;

const dark = (rules: string): string => `@media (prefers-color-scheme: dark) {${rules}\n}`;

export const PAGE_STYLE = [COLOURS, dark(DARK), SHAPES, PAGE].join("");

/** For a picture in a file of its own: the page's colours, and a ground to stand on. */
export const PICTURE_STYLE = [COLOURS, dark(DARK), SHAPES, ".ground { fill: var(--panel) }"].join("");
