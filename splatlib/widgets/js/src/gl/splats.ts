import type { Loaded } from "../splat/engine";
import type { Sorted } from "../splat/sort";
import { freed, Program, type Frame, type GL, type Layer } from "./program";
import fragment from "./splats.frag.glsl";
import vertex from "./splats.vert.glsl";

const WIDTH = 2048; // of the textures; the shader knows it too

export interface Crop {
  center: [number, number, number];
  half: [number, number, number];
  rotation: number[]; // box_from_world, row by row
}

/**
 * Gaussians as quads, drawn back to front in the order that the engine gives.
 *
 * Not instanced: SwiftShader starts anew for each instance, which made half a million of them take ten seconds.
 */
export class SplatLayer implements Layer {
  crop: Crop | undefined;
  /** Show what the crop leaves out as a grey haze instead of not at all. */
  dimmed = false;
  private gl: GL | undefined;
  private program!: Program;
  private textures!: { centers: WebGLTexture; shapes: WebGLTexture; colors: WebGLTexture; order: WebGLTexture };
  private corners!: WebGLBuffer;
  private array!: WebGLVertexArrayObject;
  private drawn = 0;
  private colors: Uint32Array<ArrayBuffer> | undefined;
  private order: Uint32Array<ArrayBuffer> | undefined;

  constructor(private readonly data: Loaded) {}

  prepare(gl: GL): void {
    this.gl = gl;
    this.program = new Program(gl, vertex, fragment);
    const { centers, shapes } = this.data;
    this.textures = {
      centers: texture(gl, gl.RGBA32F, gl.RGBA, gl.FLOAT, centers, 4),
      shapes: texture(gl, gl.RGBA32UI, gl.RGBA_INTEGER, gl.UNSIGNED_INT, shapes, 4),
      colors: texture(gl, gl.R32UI, gl.RED_INTEGER, gl.UNSIGNED_INT, new Uint32Array(centers.length / 4), 1),
      order: texture(gl, gl.R32UI, gl.RED_INTEGER, gl.UNSIGNED_INT, new Uint32Array(centers.length / 4), 1),
    };
    this.array = gl.createVertexArray();
    this.corners = gl.createBuffer();
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.corners);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, quads(centers.length / 4), gl.STATIC_DRAW);
    gl.bindVertexArray(null);
    if (this.order) this.show({ order: this.order, colors: this.colors });
  }

  show({ order, colors }: Sorted): void {
    this.order = order;
    this.colors = colors ?? this.colors;
    this.drawn = order.length;
    const gl = this.gl;
    if (!gl || gl.isContextLost()) return;
    gl.bindTexture(gl.TEXTURE_2D, this.textures.order);
    upload(gl, gl.RED_INTEGER, gl.UNSIGNED_INT, order, 1);
    if (colors) {
      gl.bindTexture(gl.TEXTURE_2D, this.textures.colors);
      upload(gl, gl.RED_INTEGER, gl.UNSIGNED_INT, colors, 1);
    }
  }

  release(gl: GL): void {
    freed(gl, { arrays: [this.array], buffers: [this.corners], textures: Object.values(this.textures) });
    this.gl = undefined;
  }

  draw(gl: GL, frame: Frame): void {
    if (!this.drawn) return;
    this.program.use(frame);
    Object.entries(this.textures).forEach(([name, held], unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, held);
      gl.uniform1i(this.program.at(name), unit);
    });
    gl.activeTexture(gl.TEXTURE0);
    gl.uniform1i(this.program.at("cropped"), this.crop ? 1 : 0);
    gl.uniform1i(this.program.at("dimmed"), this.dimmed ? 1 : 0);
    if (this.crop) {
      gl.uniformMatrix3fv(this.program.at("boxFromWorld"), true, this.crop.rotation);
      gl.uniform3fv(this.program.at("boxCenter"), this.crop.center);
      gl.uniform3fv(this.program.at("boxHalf"), this.crop.half);
    }
    gl.disable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.bindVertexArray(this.array);
    gl.drawElements(gl.TRIANGLES, 6 * this.drawn, gl.UNSIGNED_INT, 0);
    gl.bindVertexArray(null);
  }
}

/** Two triangles for each four vertices. */
function quads(count: number): Uint32Array<ArrayBuffer> {
  const corners = new Uint32Array(6 * count);
  for (let i = 0, at = 0, first = 0; i < count; i++, first += 4) {
    corners[at++] = first;
    corners[at++] = first + 1;
    corners[at++] = first + 2;
    corners[at++] = first + 2;
    corners[at++] = first + 1;
    corners[at++] = first + 3;
  }
  return corners;
}

type Texels = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

function texture(gl: GL, inner: number, format: number, type: number, data: Texels, channels: number): WebGLTexture {
  const made = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, made);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  const rows = Math.max(1, Math.ceil(data.length / channels / WIDTH));
  gl.texStorage2D(gl.TEXTURE_2D, 1, inner, WIDTH, rows);
  upload(gl, format, type, data, channels);
  return made;
}

/** Whole rows at once, then the last, shorter one. */
function upload(gl: GL, format: number, type: number, data: Texels, channels: number): void {
  const count = data.length / channels;
  const rows = Math.floor(count / WIDTH);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4);
  gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, false);
  if (rows) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, WIDTH, rows, format, type, data);
  const rest = count - rows * WIDTH;
  if (rest) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, rows, rest, 1, format, type, data, rows * WIDTH * channels);
}
