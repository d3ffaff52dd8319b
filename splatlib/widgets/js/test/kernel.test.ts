import { describe, expect, it, vi } from "vitest";
import { keepShownWidgets, watchKernel, type Manager } from "../src/kernel";
import type { Model } from "../src/model";

/** A model as anywidget shows it, of a runtime whose comm lives or not. */
function modelOf(shared: { comm_live: boolean }, disposed?: Set<() => void>): { model: Model; tell: (event: string) => void } {
  const heard = new Map<string, Set<() => void>>();
  const signal = disposed && {
    connect: (slot: () => void) => disposed.add(slot),
    disconnect: (slot: () => void) => disposed.delete(slot),
  };
  const model = {
    get: (key: string) => (key === "_runtime" ? "IPY_MODEL_r" : undefined),
    on: (event: string, callback: () => void) => heard.set(event, (heard.get(event) ?? new Set()).add(callback)),
    off: (event: string, callback: () => void) => heard.get(event)?.delete(callback),
    widget_manager: {
      get_model: (id: string) => (id === "r" ? Promise.resolve(shared) : Promise.reject(new Error("model not found"))),
      kernel: { disposed: signal },
    },
  };
  return {
    model: model as unknown as Model,
    tell: (event) => heard.get(event)?.forEach((callback) => callback()),
  };
}

describe("a view's kernel", () => {
  it("is gone once its comms are closed, and that is told once", async () => {
    const shared = { comm_live: true };
    const { model, tell } = modelOf(shared);
    const gone = vi.fn();
    watchKernel(model, gone);
    tell("comm_live_update");
    await new Promise((done) => setTimeout(done));
    expect(gone).not.toHaveBeenCalled();
    shared.comm_live = false;
    tell("comm_live_update");
    tell("comm_live_update");
    await vi.waitFor(() => expect(gone).toHaveBeenCalledExactlyOnceWith(false));
  });

  it("is gone when it was shut down, and where a notebook was opened without one", async () => {
    const disposed = new Set<() => void>();
    const [early, late] = [vi.fn(), vi.fn()];
    watchKernel(modelOf({ comm_live: true }, disposed).model, late);
    watchKernel(modelOf({ comm_live: false }).model, early);
    disposed.forEach((slot) => slot());
    expect(late).toHaveBeenCalledExactlyOnceWith(false);
    await vi.waitFor(() => expect(early).toHaveBeenCalledExactlyOnceWith(true));
  });

  it("is not asked about after a view went, nor in places that have no manager", () => {
    const disposed = new Set<() => void>();
    const gone = vi.fn();
    watchKernel(modelOf({ comm_live: true }, disposed).model, gone)();
    disposed.forEach((slot) => slot());
    watchKernel({ get: () => undefined } as unknown as Model, gone)();
    expect(gone).not.toHaveBeenCalled();
    expect(disposed.size).toBe(0);
  });
});

describe("a notebook saved without a kernel", () => {
  const dead = (attributes: Record<string, unknown> = {}) => ({ comm_live: false, _comm_live: false, attributes });

  it("keeps the widgets that it shows and what they refer to, and no others", () => {
    const models = new Map(
      Object.entries({
        view: dead({ _runtime: "IPY_MODEL_r", layout: { model_id: "layout" }, info: { a: 1 }, blobs: [new DataView(new ArrayBuffer(1))] }),
        box: dead({ children: [{ model_id: "child" }] }),
        child: dead({ parent: { model_id: "box" } }),
        r: dead(),
        layout: dead(),
        old: dead(),
      }),
    );
    const saved = vi.fn(() => [...models].filter(([, m]) => m._comm_live).map(([id]) => id).sort());
    const show = (id: string) => ({ data: { "application/vnd.jupyter.widget-view+json": { model_id: id } } });
    const cells = [{ outputs: [show("view"), { text: "no widget" }] }, {}, { outputs: [show("box"), show("unknown")] }];
    const manager: Manager = { get_state_sync: saved, _modelsSync: models, context: { model: { toJSON: () => ({ cells }) } } };
    keepShownWidgets(manager);
    keepShownWidgets(manager);
    expect(manager.get_state_sync?.({})).toEqual(["box", "child", "layout", "r", "view"]);
    expect(saved).toHaveBeenCalledOnce();
    expect([...models.values()].some((m) => m._comm_live)).toBe(false);
  });

  it("is left to a manager that has no notebook", () => {
    const manager: Manager = { get_state_sync: () => "as it was" };
    keepShownWidgets(manager);
    keepShownWidgets(undefined);
    expect(manager.get_state_sync?.()).toBe("as it was");
  });
});
