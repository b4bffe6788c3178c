/**
 * What the report does beyond being read: values where the pointer is, and a closer look at a stretch of a timeline. All is
 * there without it: titles, tables, the whole timeline. Text only ever becomes text nodes.
 */
export const PAGE_SCRIPT = `
"use strict";
const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);
// The browser's own tooltips come late, and would come twice.
for (const title of document.querySelectorAll(".plot title")) {
  title.parentNode.dataset.tip = title.textContent;
  title.remove();
}
document.addEventListener("pointermove", (event) => {
  const owner = event.target instanceof Element ? event.target.closest("[data-tip]") : null;
  tip.hidden = owner === null;
  if (owner === null) return;
  tip.textContent = owner.dataset.tip;
  const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  tip.style.left = Math.max(8, left) + "px";
  tip.style.top = Math.max(8, event.clientY - tip.offsetHeight - 12) + "px";
});
const name = (ms) => ms < 1000 ? Number(ms.toPrecision(3)) + " ms" : Number((ms / 1000).toPrecision(4)) + " s";
for (const view of document.querySelectorAll(".zoomable")) {
  const [, , whole, lanes] = view.getAttribute("viewBox").split(" ").map(Number);
  const axis = view.parentNode.querySelector(".time-axis");
  const ticks = [...axis.querySelectorAll("text.tick")];
  const marks = [...axis.querySelectorAll("line.axis")].slice(1);
  const places = ticks.map((tick) => (Number(tick.getAttribute("x")) - Number(view.getAttribute("x"))) / Number(view.getAttribute("width")));
  const words = ticks.map((tick) => tick.textContent);
  let from = 0, length = whole, grabbed;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Show all of it";
  button.hidden = true;
  view.closest("figure").append(button);
  const show = (start, size) => {
    length = Math.min(whole, Math.max(whole / 10000, size));
    from = Math.min(whole - length, Math.max(0, start));
    view.setAttribute("viewBox", [from, 0, length, lanes].join(" "));
    button.hidden = length === whole;
    ticks.forEach((tick, i) => { tick.textContent = length === whole ? words[i] : name(from + places[i] * length); });
  };
  const at = (event) => {
    const box = view.parentNode.getBoundingClientRect();
    const scale = box.width / view.parentNode.viewBox.baseVal.width;
    const x = (event.clientX - box.left) / scale - Number(view.getAttribute("x"));
    return from + Math.min(1, Math.max(0, x / Number(view.getAttribute("width")))) * length;
  };
  view.addEventListener("pointerdown", (event) => { grabbed = at(event); event.preventDefault(); });
  document.addEventListener("pointerup", (event) => {
    if (grabbed === undefined) return;
    const other = at(event);
    // A click is no stretch.
    if (Math.abs(other - grabbed) > length / 100) show(Math.min(grabbed, other), Math.abs(other - grabbed));
    grabbed = undefined;
  });
  view.addEventListener("dblclick", () => show(0, whole));
  button.addEventListener("click", () => show(0, whole));
}
`;
