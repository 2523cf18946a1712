// A case in three planes and 3D: image, outlined structures, doubt on top.

import widget from "../niivue.js";
import { Model } from "./host.js";

const OPTIONS = {
  sliceType: 3, // three planes
  multiplanarShowRender: 1, // and always 3D
  multiplanarPadPixels: 6,
  isRadiologicalConvention: true,
  showAllOrientationMarkers: true,
  fontColor: [0.9, 0.35, 0, 1], // seen on black and on white
  fontMinPx: 18,
  crosshairColor: [0.2, 1, 1, 0.8],
  crosshairWidth: 0.2,
  crosshairGap: 4,
  dragAndDropEnabled: false,
  viewModeHotKey: "",
  clipPlaneHotKey: "",
  cycleClipPlaneHotKey: "",
  loadingText: "",
};
const LOADING = { ...OPTIONS, sliceType: 0 }; // NiiVue draws at every step of loading: one plane, then
const VOLUME = {
  path: {}, url: "", paired_img_path: {}, paired_img_url: "", opacity: 1, colormap: "gray", colormap_negative: "",
  colormap_type: 0, colorbar_visible: false, frame_4d: 0, colormap_invert: false, modulation_image: null,
  modulate_alpha: 0, cal_min: null, cal_max: null,
};
const FILL = 0.15; // of a structure inside its outline
// Index 0, which is all that lies below the threshold, is not drawn.
const DOUBT = { R: [150, 150, 255, 255], G: [0, 0, 40, 235], B: [110, 110, 160, 250], A: [0, 150, 220, 255], I: [0, 1, 128, 255] };

export class Viewer {
  constructor(element) {
    this.volumes = new Map();
    this.shown = {};
    this.count = 0;
    this.doubt = { strength: 0.8, threshold: 0.3 };
    this.main = new Model({
      opts: OPTIONS, volumes: [], meshes: [], height: element.clientHeight, scene: {}, graph: {},
      background_masks_overlays: 0, draw_opacity: FILL, draw_fill_overwrites: true, overlay_outline_width: 0,
      overlay_alpha_shader: 1,
    }, this.volumes);
    this.ready = this.start(element);
    new ResizeObserver(() => this.main.change("height", element.clientHeight)).observe(element);
  }

  async start(element) {
    await widget.initialize({ model: this.main });
    await widget.render({ model: this.main, el: element });
    this.gl = element.querySelector("canvas").getContext("webgl2");
    await this.main.command("add_colormap", ["doubt", DOUBT]);
    // NiiVue outlines a drawing, one pixel wide in each plane, once its field drawRimOpacity is 1. ipyniivue has no
    // value of that name; its message for arrays sets any field, and WebGL takes an array of one number as the number.
    const one = new DataView(new Float32Array([1]).buffer);
    await this.main.command("buffer_change", { attr: "drawRimOpacity", type: "float32" }, [one]);
  }

  // Replaces what is shown. What is missing is left out.
  async show({ image, segmentation, doubt }, colours) {
    await this.ready;
    const { strength, threshold } = this.doubt;
    const entries = [
      (image || segmentation) && ["image", image ?? segmentation, {}],
      doubt && ["doubt", doubt, { colormap: "doubt", cal_min: threshold, cal_max: 1, opacity: strength }],
    ].filter(Boolean);
    this.main.change("opts", LOADING);
    if (this.drawn) await this.main.command("close_drawing");
    this.drawn = Boolean(segmentation);
    this.volumes.clear();
    this.shown = {};
    this.main.change("volumes", []);
    await settled();
    this.main.change("draw_lut", { lut: colourTable(colours), labels: Array(256).fill("") });
    for (const [name, bytes, values] of entries) {
      const id = `${name}-${++this.count}`;
      this.shown[name] = new Model({ ...VOLUME, ...values, id, name: `${name}.nii`, data: new DataView(bytes) }, this.volumes);
      this.volumes.set(id, this.shown[name]);
    }
    this.main.change("volumes", [...this.volumes.keys()].map((id) => `IPY_MODEL_${id}`));
    await Promise.all([...this.volumes.values()].map((volume) => volume.saved));
    await settled();
    for (const volume of this.volumes.values()) volume.values.data = null; // NiiVue holds its own copy
    if (this.drawn) {
      await this.main.command("load_drawing_from_url", ["local>segmentation.nii", false], [new DataView(segmentation)]);
    }
    this.main.change("opts", OPTIONS);
  }

  // Resolves when all that was drawn is on the screen.
  async onScreen() {
    const fence = this.gl.fenceSync(this.gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    this.gl.flush();
    do await new Promise((resolve) => setTimeout(resolve, 10));
    while (this.gl.clientWaitSync(fence, 0, 0) === this.gl.TIMEOUT_EXPIRED);
    this.gl.deleteSync(fence);
  }

  setDoubt(strength, threshold) {
    this.doubt = { strength, threshold };
    this.shown.doubt?.change("cal_min", threshold);
    this.shown.doubt?.change("opacity", strength);
  }

  setOutlines(visible) {
    this.main.change("draw_opacity", visible ? FILL : 0);
  }

  // `view`: 0 to 1 from left to right, back to front and foot to head.
  moveTo(view) {
    this.main.change("scene", { crosshairPos: view });
    this.draw();
  }

  // Voxels towards right, front and head.
  moveBy(voxels) {
    this.main.command("move_crosshair_in_vox", voxels);
  }

  draw() {
    return this.main.command("draw_scene");
  }
}

// When the widget has done what its listeners await.
const settled = () => new Promise((resolve) => setTimeout(resolve));

// 256 colours: none for the background, then the structures' in turn.
function colourTable(colours) {
  const lut = [0, 0, 0, 0];
  for (let label = 1; label < 256; label += 1) {
    const colour = colours[(label - 1) % colours.length];
    lut.push(...[1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)), 255);
  }
  return lut;
}
