/** `view_frames`: contact sheet, film strip, sharpness over time, what was dropped and why. */
import { blobsOf, infoOf, tell } from "../model";
import { button, choice, make, short, slider } from "../ui/elements";
import { sharpnessChart } from "../ui/chart";
import { Kernel, sliced, Urls } from "../ui/pictures";
import type { Shell } from "../ui/shell";

export interface ShownFrame {
  name: string;
  width: number;
  height: number;
  where: string;
  sharpness: number | null;
  flags: string[];
}

export interface DroppedFrame {
  /** Of the kept frame before it; -1: before the first. */
  after: number;
  where: string;
  reason: string;
  sharpness: number | null;
}

interface FramesInfo {
  title: string;
  note: string;
  frames: ShownFrame[];
  dropped: DroppedFrame[];
  sizes: number[];
}

export function frames(shell: Shell): void {
  const info = infoOf<FramesInfo>(shell.model);
  const thumbnails = sliced(blobsOf(shell.model)[0], info.sizes);
  const urls = new Urls(shell);
  const urlOf = (index: number) => urls.of(`thumbnail ${index}`, () => thumbnails[index]);
  if (info.note) shell.note(info.note);
  shell.top.append(make("span", "title", info.title), make("span", "grow"));
  if (!info.frames.length) {
    shell.stage.replaceWith(make("div", "note", "No frame was kept, so there is nothing to show."));
    return;
  }
  const one = new OneFrame(shell, info, urlOf, urls);
  const sheet = contactSheet(info, urlOf, (index) => {
    view.set("one");
    show("one");
    one.show(index);
  });
  const strip = filmStrip(info, urlOf, (index) => one.show(index));
  const chart = sharpnessChart(info.frames, info.dropped, (index) => one.show(index));
  const show = (which: "sheet" | "one") => {
    sheet.hidden = which !== "sheet";
    one.element.hidden = strip.hidden = which !== "one";
    shell.stage.style.height = which === "sheet" ? "auto" : `${Number(shell.model.get("height_px")) || 460}px`;
    shell.stage.style.background = which === "sheet" ? "var(--ground)" : "";
    if (which === "one") one.wake();
  };
  const view = choice("How to look", [["sheet", "Contact sheet"], ["one", "One by one"]], "sheet", show);
  sheet.style.maxHeight = `${Number(shell.model.get("height_px")) || 460}px`;
  shell.top.append(view.element);
  shell.stage.append(sheet, one.element);
  shell.bottom.before(strip, chart.element);
  shell.bottom.append(legend(info));
  one.onShow = (index) => {
    chart.mark(index);
    for (const [at, item] of strip.querySelectorAll("button").entries()) {
      item.setAttribute("aria-current", String(at === index));
      if (at === index && !strip.hidden) strip.scrollTo({ left: item.offsetLeft - strip.clientWidth / 2, behavior: "smooth" });
    }
    tell(shell.model, "selected", info.frames[index].name);
  };
  show("sheet");
  one.show(0);
}

class OneFrame {
  readonly element = make("div", "wide");
  onShow: (index: number) => void = () => undefined;
  private readonly picture = make("img");
  private readonly caption = make("div", "chip sw");
  private readonly slide: HTMLInputElement;
  private readonly kernel: Kernel;
  private index = -1;

  constructor(
    private readonly shell: Shell,
    private readonly info: FramesInfo,
    private readonly urlOf: (index: number) => string,
    private readonly urls: Urls,
  ) {
    this.kernel = new Kernel(shell);
    this.slide = slider("Frame", { min: 0, max: info.frames.length - 1, step: 1, value: 0 }, (at) => this.show(at));
    this.slide.style.flex = "1";
    this.element.tabIndex = 0;
    this.element.dataset.lmSuppressShortcuts = "true";
    this.element.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      this.show(this.index + by);
    });
    const bar = make("div", "bar");
    bar.style.cssText = "position:absolute;left:0;right:0;bottom:34px;padding:0 10px";
    bar.append(
      button("The frame before", () => this.show(this.index - 1), "previous"),
      this.slide,
      button("The next frame", () => this.show(this.index + 1), "next"),
    );
    bar.style.color = "#fff";
    this.element.append(this.picture, bar, this.caption);
  }

  show(wanted: number): void {
    const index = Math.max(0, Math.min(this.info.frames.length - 1, wanted));
    if (index === this.index) return;
    this.index = index;
    const frame = this.info.frames[index];
    this.slide.value = String(index);
    this.picture.src = this.urlOf(index);
    this.picture.alt = `Frame ${frame.name}`;
    const sharpness = frame.sharpness === null ? "" : ` · sharpness ${short(frame.sharpness)}`;
    const flags = frame.flags.length ? ` · ${frame.flags.join(", ")}` : "";
    const where = frame.where === frame.name ? "" : ` · ${frame.where}`;
    this.caption.textContent = `${index + 1} of ${this.info.frames.length} · ${frame.name}${where}${sharpness}${flags}`;
    this.onShow(index);
    this.wake();
  }

  /** While the contact sheet is shown nobody misses the picture, and a kernel at work need not be asked for it. */
  wake(): void {
    const { index } = this;
    if (index < 0 || this.element.hidden || this.kernel.isGone) return;
    this.sharpen(index).catch((error: unknown) => this.coarse(index, error));
  }

  /** The thumbnail stands until the kernel has sent the picture in the size of the stage. */
  private async sharpen(index: number): Promise<void> {
    const { name } = this.info.frames[index];
    const bytes = await this.kernel.ask("picture", name);
    const url = this.urls.of(`picture ${name}`, () => bytes);
    if (index !== this.index) return;
    this.picture.src = url;
    this.shell.note(this.info.note);
  }

  private coarse(index: number, error: unknown): void {
    if (index !== this.index || this.kernel.isGone) return;
    const why = error instanceof Error ? error.message : String(error);
    this.shell.note(`Only the thumbnail is shown, ${why}.`);
  }
}

function contactSheet(info: FramesInfo, urlOf: (index: number) => string, onPick: (index: number) => void): HTMLElement {
  const sheet = make("div", "sheet");
  const numbers = info.frames.map((frame) => frame.sharpness ?? 0);
  const most = Math.max(...numbers, 1e-9);
  info.frames.forEach((frame, index) => {
    const picture = make("img");
    picture.loading = "lazy";
    picture.src = urlOf(index);
    picture.alt = frame.name;
    const meter = make("div", "meter");
    meter.style.width = `${(100 * (frame.sharpness ?? 0)) / most}%`;
    const second = frame.flags.join(", ") || (frame.sharpness === null ? "" : `sharpness ${short(frame.sharpness)}`);
    const text = make("span", "", make("b", "", `#${index + 1} `), `${frame.where}`, make("br"), second);
    const item = button(`Frame ${frame.name}`, () => onPick(index));
    item.replaceChildren(picture, meter, text);
    if (frame.flags.length) item.classList.add("flagged");
    sheet.append(item);
  });
  return sheet;
}

function filmStrip(info: FramesInfo, urlOf: (index: number) => string, onPick: (index: number) => void): HTMLElement {
  const strip = make("div", "strip");
  const gone = (after: number) => {
    for (const dropped of info.dropped.filter((d) => d.after === after)) {
      const mark = make("span", "gone");
      mark.title = `${dropped.where}: dropped, ${dropped.reason}`;
      strip.append(mark);
    }
  };
  gone(-1);
  info.frames.forEach((frame, index) => {
    const picture = make("img");
    picture.loading = "lazy";
    picture.src = urlOf(index);
    picture.alt = frame.name;
    const item = button(`Frame ${frame.name}`, () => onPick(index));
    item.replaceChildren(picture);
    strip.append(item);
    gone(index);
  });
  return strip;
}

function legend(info: FramesInfo): HTMLElement {
  const reasons = new Map<string, number>();
  for (const { reason } of info.dropped) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  const dropped = [...reasons].map(([reason, number]) => `${number} ${reason}`).join(", ");
  return make("span", "facts", dropped ? `Dropped (red): ${dropped}. Hover to see which.` : "Nothing was dropped.");
}
