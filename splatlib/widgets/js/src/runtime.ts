export { render } from "./render";
import { startSavedPage } from "./saved";

startSavedPage();
