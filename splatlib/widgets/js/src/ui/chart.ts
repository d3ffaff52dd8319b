/** Sharpness of kept and dropped frames along the capture, as bars. */
import type { DroppedFrame, ShownFrame } from "../kinds/frames";
import { short } from "./elements";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 64;

export function sharpnessChart(
  frames: ShownFrame[],
  dropped: DroppedFrame[],
  onPick: (index: number) => void,
): { element: SVGSVGElement; mark: (index: number) => void } {
  const bars: { index: number; sharpness: number; title: string; isKept: boolean }[] = [];
  const lost = (after: number) => {
    for (const d of dropped.filter((item) => item.after === after)) {
      bars.push({ index: Math.max(after, 0), sharpness: d.sharpness ?? 0, isKept: false, title: `${d.where}: dropped, ${d.reason}` });
    }
  };
  lost(-1);
  frames.forEach((frame, index) => {
    const told = frame.sharpness === null ? "" : `, sharpness ${short(frame.sharpness)}`;
    bars.push({ index, sharpness: frame.sharpness ?? 0, isKept: true, title: `${frame.where}${told}` });
    lost(index);
  });
  const element = document.createElementNS(SVG, "svg");
  element.classList.add("chart");
  element.setAttribute("viewBox", `0 0 ${Math.max(bars.length, 1)} ${HEIGHT}`);
  element.setAttribute("preserveAspectRatio", "none");
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", "Sharpness of each frame, along the capture");
  const most = Math.max(...bars.map((bar) => bar.sharpness), 1e-9);
  const rects = new Map<number, SVGRectElement>();
  bars.forEach((bar, at) => {
    const rect = document.createElementNS(SVG, "rect");
    const height = Math.max(3, ((HEIGHT - 8) * bar.sharpness) / most);
    for (const [key, value] of Object.entries({ x: at + 0.12, y: HEIGHT - height, width: 0.76, height })) {
      rect.setAttribute(key, String(value));
    }
    rect.style.fill = bar.isKept ? "var(--second)" : "var(--bad)";
    const title = document.createElementNS(SVG, "title");
    title.textContent = bar.title;
    rect.append(title);
    rect.addEventListener("click", () => onPick(bar.index));
    element.append(rect);
    if (bar.isKept) rects.set(bar.index, rect);
  });
  const mark = (index: number) => {
    for (const [at, rect] of rects) rect.style.fill = at === index ? "var(--accent)" : "var(--second)";
  };
  return { element, mark };
}
