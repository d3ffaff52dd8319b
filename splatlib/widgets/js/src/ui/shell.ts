/** What every widget has: a frame with its own style, a bar above and below, a stage, and room for notes and errors. */
import { keepShownWidgets, managerOf, watchKernel } from "../kernel";
import type { Model } from "../model";
import { make } from "./elements";
import style from "./style.css";

export class Shell {
  readonly top = make("div", "bar top");
  readonly stage = make("div", "stage");
  readonly bottom = make("div", "bar bottom");
  readonly frame: HTMLDivElement;
  private readonly notes = make("div");
  private readonly told = make("div", "note");
  private readonly lonely: (() => void)[] = [];
  private isLeft = false;
  private readonly cleanups: (() => void)[] = [];

  constructor(
    readonly model: Model,
    el: HTMLElement,
  ) {
    const root = el.shadowRoot ?? el.attachShadow({ mode: "open" });
    root.replaceChildren(make("style", "", style));
    this.frame = make("div", "splatlib", this.top, this.stage, this.bottom, this.notes);
    const follow = () => (this.frame.style.colorScheme = isDark(el) ? "dark" : "light");
    const theme = new MutationObserver(follow);
    theme.observe(el.ownerDocument.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
    this.onDispose(() => theme.disconnect());
    follow();
    root.append(this.frame);
    this.told.hidden = true;
    this.notes.append(this.told);
    keepShownWidgets(managerOf(model));
    this.onDispose(watchKernel(model, (wasGone) => this.leave(wasGone)));
    this.stage.style.height = `${Number(model.get("height_px")) || 460}px`;
  }

  /** Nobody hears what a person sets here: the page was saved to disk, or the kernel is gone. */
  get isAlone(): boolean {
    return this.isLeft || this.model.isSaved === true;
  }

  /** Hear of it when that becomes so. */
  onAlone(callback: () => void): void {
    this.lonely.push(callback);
  }

  /** A view that was shown without a kernel needs no words: whoever opened the notebook knows. */
  private leave(wasGone: boolean): void {
    this.isLeft = true;
    if (!wasGone) {
      const words = "The kernel of this view is gone. Its picture stays, but what is set here no longer reaches Python: run the cell again.";
      const gone = make("div", "note", words);
      gone.role = "status";
      this.notes.prepend(gone);
    }
    for (const callback of this.lonely) callback();
  }

  /** Something a person should know, under the view; nothing: taken away. */
  note(text: string | undefined): void {
    this.told.hidden = !text;
    this.told.textContent = text ?? "";
    this.told.classList.remove("error");
  }

  /** An error, where the person looks: under the view. */
  fail(error: unknown): void {
    const what = error instanceof Error ? error.message : String(error);
    this.note(`This view cannot go on: ${what}`);
    this.told.classList.add("error");
    this.told.role = "alert";
  }

  /** Hear the model, until the widget goes. */
  listen(event: string, callback: (...values: never[]) => void): void {
    this.model.on(event, callback);
    this.onDispose(() => this.model.off(event, callback));
  }

  /** A handler whose errors, also those of promises, appear under the view. */
  guarded<A extends unknown[]>(handler: (...values: A) => unknown): (...values: A) => void {
    return (...values) => {
      void (async () => handler(...values))().catch((error: unknown) => this.fail(error));
    };
  }

  onDispose(cleanup: () => void): void {
    this.cleanups.push(cleanup);
  }

  dispose(): void {
    for (const cleanup of this.cleanups.splice(0).reverse()) cleanup();
  }
}

/** JupyterLab says so on the body, VS Code by a class; elsewhere the system's wish counts. */
export function isDark(el: Element): boolean {
  const body = el.ownerDocument.body;
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false";
  if (/vscode-(dark|high-contrast)/.test(body.className)) return true;
  if (body.className.includes("vscode-light")) return false;
  return globalThis.matchMedia?.("(prefers-color-scheme: dark)").matches ?? false;
}
