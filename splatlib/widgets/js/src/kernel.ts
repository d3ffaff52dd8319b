/** The kernel behind a view: when it goes, and what JupyterLab then forgets to save. */
import type { Model } from "./model";

interface Signal {
  connect(slot: () => void): unknown;
  disconnect(slot: () => void): unknown;
}

/** Of ipywidgets; `comm_live`: whether somebody is there to hear it. */
interface WidgetModel {
  comm_live?: boolean;
  _comm_live?: boolean;
  attributes?: Record<string, unknown>;
}

interface Output {
  data?: Record<string, unknown>;
}

/** What JupyterLab's widget manager has; in other places less. */
export interface Manager {
  get_model?(id: string): Promise<WidgetModel>;
  kernel?: { disposed?: Signal } | null;
  get_state_sync?(options?: unknown): unknown;
  _modelsSync?: Map<string, WidgetModel>;
  context?: { model?: { toJSON?(): unknown } };
}

export function managerOf(model: Model): Manager | undefined {
  return (model as { widget_manager?: Manager }).widget_manager;
}

const idOf = (reference: unknown): string => String(reference).replace("IPY_MODEL_", "");

/**
 * Calls back when the kernel that made a view has ended; with `wasGone` where it had when the view was shown.
 *
 * A restart and a death close the widgets' comms; a shut-down only disposes of the connection.
 */
export function watchKernel(model: Model, onGone: (wasGone: boolean) => void): () => void {
  const manager = managerOf(model);
  if (!manager?.get_model) return () => undefined;
  let isOver = false;
  const go = (wasGone: boolean) => {
    if (!isOver) onGone(wasGone);
    isOver = true;
  };
  // the view's own model is behind anywidget's face; the runtime's lives and dies with it
  const look = async (wasGone: boolean) => {
    const shared = await manager.get_model?.(idOf(model.get("_runtime")));
    if (shared?.comm_live === false) go(wasGone);
  };
  const changed = () => void look(false).catch(() => go(false));
  const disposed = () => go(false);
  const signal = manager.kernel?.disposed;
  model.on("comm_live_update", changed);
  signal?.connect(disposed);
  void look(true).catch(() => undefined);
  return () => {
    isOver = true;
    model.off("comm_live_update", changed);
    signal?.disconnect(disposed);
  };
}

const guarded = new WeakSet<Manager>();

/**
 * Makes JupyterLab save the widgets that a notebook shows also when their kernel is gone.
 *
 * It saves those with a live comm only, so one save after a restart would leave "model not found" in place of every
 * picture. Widgets that no output shows any longer are still left out.
 */
export function keepShownWidgets(manager: Manager | undefined): void {
  if (!manager?.get_state_sync || guarded.has(manager)) return;
  guarded.add(manager);
  const save = manager.get_state_sync.bind(manager);
  manager.get_state_sync = (options) => {
    const known = manager._modelsSync;
    const notebook = manager.context?.model?.toJSON?.();
    const dead = known && notebook ? reachable(shownIn(notebook), known).filter((m) => m.comm_live === false) : [];
    for (const model of dead) model._comm_live = true; // its setter would tell the views
    try {
      return save(options);
    } finally {
      for (const model of dead) model._comm_live = false;
    }
  };
}

/** Ids of the models that a notebook's outputs show. */
function shownIn(notebook: unknown): string[] {
  const { cells = [] } = notebook as { cells?: { outputs?: Output[] }[] };
  const shown = cells.flatMap((cell) => cell.outputs ?? []).map((output) => output.data?.["application/vnd.jupyter.widget-view+json"]);
  return shown.flatMap((view) => (view ? [(view as { model_id: string }).model_id] : []));
}

/** Models, and those that they refer to: layouts, children, the runtime. */
function reachable(ids: string[], known: Map<string, WidgetModel>): WidgetModel[] {
  const found = new Map<string, WidgetModel>();
  const visit = (value: unknown): void => {
    if (typeof value === "string" && value.startsWith("IPY_MODEL_")) return enter(idOf(value));
    if (!value || typeof value !== "object" || ArrayBuffer.isView(value)) return;
    const { model_id: id } = value as { model_id?: unknown };
    if (typeof id === "string") enter(id);
    else if (Array.isArray(value)) value.forEach(visit);
    else if (Object.getPrototypeOf(value) === Object.prototype) Object.values(value).forEach(visit);
  };
  const enter = (id: string): void => {
    const model = known.get(id);
    if (!model || found.has(id)) return;
    found.set(id, model);
    Object.values(model.attributes ?? {}).forEach(visit);
  };
  ids.forEach(enter);
  return [...found.values()];
}
