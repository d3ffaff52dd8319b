/** Small helpers that make the widgets' controls. */

type Child = Node | string;

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

const PATHS = {
  orbit: "M12 8v8M8 12h8M3.5 12a8.5 3.6 0 1 0 17 0a8.5 3.6 0 1 0-17 0M12 3.5a3.6 8.5 0 1 0 0 17a3.6 8.5 0 1 0 0-17",
  fly: "M3 11l18-8-8 18-2.5-7.5z",
  reset: "M4 12a8 8 0 1 0 2.5-5.8M4 4v5h5",
  previous: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  shine: "M12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.1 2.1M16.3 16.3l2.1 2.1M5.6 18.4l2.1-2.1M16.3 7.7l2.1-2.1M9 12a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
  crop: "M7 2v15h15M2 7h15v15",
  measure: "M3 16L16 3l5 5L8 21zM7 12l2 2M10 9l3 3M13 6l2 2",
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM8.5 13a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0",
  full: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  ground: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
  help: "M3 12a9 9 0 1 0 18 0a9 9 0 1 0-18 0M9.5 9.5a2.5 2.5 0 1 1 3.5 2.3c-.7.3-1 .8-1 1.7M12 16.8v.2",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  box: "M4 6h16v12H4z",
  undo: "M9 14L4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3",
  clear: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  frusta: "M4 5l16 2v10L4 19zM4 5l9 7-9 7M20 7l-7 5 7 5",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4",
  links: "M5 6a2 2 0 1 0 4 0a2 2 0 1 0-4 0M15 10a2 2 0 1 0 4 0a2 2 0 1 0-4 0M7 18a2 2 0 1 0 4 0a2 2 0 1 0-4 0M9 7l6 2M8 8l1 8M10.500 17l5-5.500",
  play: "M7 4l13 8-13 8z",
  pause: "M8 4v16M16 4v16",
  stop: "M6 6h12v12H6z",
} as const;
export type Icon = keyof typeof PATHS;

export function icon(name: Icon): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** A button with an icon; `label` is its name for those who hover or listen, and its text where there is no icon. */
export function button(label: string, onClick: () => void, name?: Icon, text = ""): HTMLButtonElement {
  const made = make("button");
  made.type = "button";
  made.title = label;
  made.setAttribute("aria-label", label);
  made.append(...(name ? [icon(name), text] : [text || label]));
  made.addEventListener("click", onClick);
  return made;
}

/** A button that stays down; `onChange` hears of clicks only. */
export function toggle(label: string, isOn: boolean, onChange: (isOn: boolean) => void, name?: Icon, text = ""): HTMLButtonElement {
  const made = button(label, () => {
    const now = made.getAttribute("aria-pressed") !== "true";
    made.setAttribute("aria-pressed", String(now));
    onChange(now);
  }, name, text);
  made.setAttribute("aria-pressed", String(isOn));
  return made;
}

export function press(made: HTMLButtonElement, isOn: boolean): void {
  made.setAttribute("aria-pressed", String(isOn));
}

/** One of several, as buttons side by side. */
export function choice<T extends string>(
  label: string,
  options: [T, string, Icon?][],
  value: T,
  onChange: (value: T) => void,
): { element: HTMLElement; set: (value: T) => void } {
  const element = make("div", "group");
  element.role = "group";
  element.setAttribute("aria-label", label);
  const set = (now: T) => options.forEach(([key], k) => press(element.children[k] as HTMLButtonElement, key === now));
  for (const [key, text, name] of options) {
    const pick = () => {
      set(key);
      onChange(key);
    };
    element.append(button(text, pick, name, text));
  }
  set(value);
  return { element, set };
}

export function select(label: string, options: string[], onChange: (index: number) => void): HTMLSelectElement {
  const made = make("select");
  made.setAttribute("aria-label", label);
  made.title = label;
  made.append(...options.map((text) => new Option(text, text)));
  made.addEventListener("change", () => onChange(made.selectedIndex));
  return made;
}

export function slider(
  label: string,
  range: { min: number; max: number; step: number; value: number },
  onChange: (value: number) => void,
): HTMLInputElement {
  const made = make("input");
  made.type = "range";
  made.setAttribute("aria-label", label);
  made.title = label;
  for (const key of ["min", "max", "step", "value"] as const) made[key] = String(range[key]);
  made.addEventListener("input", () => onChange(Number(made.value)));
  return made;
}

export function blobUrl(bytes: Uint8Array<ArrayBuffer>, type = "image/jpeg"): string {
  return URL.createObjectURL(new Blob([bytes], { type }));
}

export function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export const count = (value: number): string => Math.round(value).toLocaleString("en-US");

/** Three significant digits, as a person would write them. */
export function short(value: number): string {
  return Number(value.toPrecision(3)).toString();
}
