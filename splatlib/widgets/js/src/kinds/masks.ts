/** `view_masks`: what each mask leaves out, and prompts by click: points on and beside the object, or a box. */
import { blobsOf, infoOf, tell } from "../model";
import { button, choice, make, slider } from "../ui/elements";
import { MaskCanvas, type Prompt } from "../ui/maskcanvas";
import { decoded, Kernel, sliced, Urls } from "../ui/pictures";
import type { Shell } from "../ui/shell";

interface MasksInfo {
  title: string;
  note: string;
  frames: { name: string; width: number; height: number; hasMask: boolean }[];
  pictures: number[];
  masks: number[];
  /** Whether the kernel makes a mask of a frame's prompts at once. */
  answers: boolean;
}
type Prompts = Record<string, Prompt>;

export function masks(shell: Shell): void {
  const info = infoOf<MasksInfo>(shell.model);
  if (!info.frames.length) {
    shell.top.append(make("span", "title", info.title));
    shell.stage.replaceWith(make("div", "note", "There is no frame to show."));
    return;
  }
  new MasksView(shell, info).start();
}

class MasksView {
  private readonly pictures: Uint8Array<ArrayBuffer>[];
  private readonly masks: Uint8Array<ArrayBuffer>[];
  private readonly answered = new Map<string, ImageBitmap>();
  private readonly canvas = new MaskCanvas();
  private readonly kernel: Kernel;
  private readonly strip = make("div", "strip");
  private readonly caption = make("div", "chip sw");
  private readonly value = make("code");
  private readonly hint = make("span", "hint", "Click what is the object; a right click says what is not. Arrow keys change the frame, Z takes back.");
  private index = 0;
  private asked = 0;

  constructor(
    private readonly shell: Shell,
    private readonly info: MasksInfo,
  ) {
    const [pictures, masks] = blobsOf(shell.model);
    this.pictures = sliced(pictures, info.pictures);
    this.masks = sliced(masks, info.masks);
    this.kernel = new Kernel(shell);
    this.canvas.onPrompt = (prompt) => this.onPrompt(prompt);
    shell.listen("change:prompts", () => this.showPrompts());
    shell.onAlone(() => this.showPrompts());
  }

  start(): void {
    const { shell, info, canvas } = this;
    if (info.note) shell.note(info.note);
    const tool = choice<"on" | "off" | "box">(
      "What a click means",
      [["on", "Object", "plus"], ["off", "Not object", "minus"], ["box", "Box", "box"]],
      "on",
      (value) => (canvas.tool = value),
    );
    const looks = choice<"tint" | "cut">("How a mask is shown", [["tint", "Tint"], ["cut", "Cut out"]], "tint", (value) => {
      canvas.isCut = value === "cut";
      canvas.draw();
    });
    const opacity = slider("Strength of the overlay", { min: 0, max: 1, step: 0.02, value: canvas.opacity }, (value) => {
      canvas.opacity = value;
      canvas.draw();
    });
    shell.top.append(
      make("span", "title", info.title),
      make("span", "grow"),
      tool.element,
      button("Take the last click back", () => this.undo(), "undo"),
      button("Forget this frame's prompts", () => this.setPrompt(undefined), "clear"),
      looks.element,
      make("label", "", "Overlay", opacity),
    );
    shell.stage.append(canvas.element, this.caption);
    const urls = new Urls(shell);
    info.frames.forEach((frame, index) => {
      const picture = make("img");
      picture.loading = "lazy";
      picture.alt = frame.name;
      picture.src = urls.of(frame.name, () => this.pictures[index]);
      const item = button(`Frame ${frame.name}`, shell.guarded(() => this.show(index)));
      item.replaceChildren(picture);
      this.strip.append(item);
    });
    shell.bottom.before(this.strip);
    shell.bottom.append(this.value, this.hint);
    shell.onDispose(() => canvas.dispose());
    canvas.element.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by) shell.guarded(() => this.show(this.index + by))();
      else if (event.key === "z" && !event.metaKey && !event.ctrlKey) this.undo();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    shell.guarded(() => this.show(0))();
  }

  private get prompts(): Prompts {
    return (this.shell.model.get("prompts") as Prompts | undefined) ?? {};
  }

  private async show(wanted: number): Promise<void> {
    const index = Math.max(0, Math.min(this.info.frames.length - 1, wanted));
    this.index = index;
    const frame = this.info.frames[index];
    this.showPrompts();
    const [picture, mask] = await Promise.all([
      decoded(this.pictures[index]),
      this.answered.get(frame.name) ?? (frame.hasMask ? decoded(this.masks[index], "image/png") : undefined),
    ]);
    if (index !== this.index) return;
    this.canvas.show(picture, mask, frame);
    this.canvas.prompt = this.prompts[frame.name];
    this.canvas.draw();
  }

  private showPrompts(): void {
    const { prompts, info } = this;
    const frame = info.frames[this.index];
    const given = Object.keys(prompts).length;
    const hasMask = frame.hasMask || this.answered.has(frame.name);
    this.canvas.prompt = prompts[frame.name];
    this.canvas.draw();
    this.caption.textContent = `${this.index + 1} of ${info.frames.length} · ${frame.name}${hasMask ? "" : " · no mask yet"}`;
    this.value.hidden = !given;
    this.hint.hidden = given > 0;
    if (given) {
      this.value.textContent = this.shell.isAlone
        ? `MasksConfig(backend="grabcut", prompts=${JSON.stringify(prompts)})`
        : `prompts of ${given} ${given === 1 ? "frame" : "frames"}: MasksConfig(backend="grabcut", prompts=view.prompts)`;
    }
    for (const [at, item] of this.strip.querySelectorAll("button").entries()) {
      item.setAttribute("aria-current", String(at === this.index));
      item.querySelector(".tick")?.remove();
      if (prompts[info.frames[at].name]) item.append(make("span", "tick"));
    }
  }

  private onPrompt(prompt: Prompt): void {
    this.setPrompt(prompt);
  }

  private undo(): void {
    const now = this.prompts[this.info.frames[this.index].name];
    if (!now) return;
    if (now.points.length) this.setPrompt({ ...now, points: now.points.slice(0, -1) });
    else this.setPrompt(undefined);
  }

  private setPrompt(prompt: Prompt | undefined): void {
    const { name } = this.info.frames[this.index];
    const prompts = structuredClone(this.prompts);
    if (prompt && (prompt.points.length || prompt.box)) prompts[name] = prompt;
    else delete prompts[name];
    tell(this.shell.model, "prompts", prompts);
    this.showPrompts();
    if (this.info.answers && !this.kernel.isGone) this.answer(name, prompts[name]).catch((error: unknown) => this.shell.fail(error));
  }

  /** The newest question counts; answers to older ones are dropped. */
  private async answer(name: string, prompt: Prompt | undefined): Promise<void> {
    const own = ++this.asked;
    const bytes = await this.kernel.ask("mask", name, { prompt: prompt ?? null });
    const mask = await decoded(bytes, "image/png");
    this.answered.set(name, mask);
    if (own !== this.asked || this.info.frames[this.index].name !== name) return;
    this.shell.note(this.info.note || undefined);
    this.canvas.setMask(mask);
    this.showPrompts();
  }
}
