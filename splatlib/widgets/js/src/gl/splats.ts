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

/** Gaussians as quads, drawn back to front in the order that the engine gives. */
export class SplatLayer implements Layer {
  crop: Crop | undefined;
  /** Show what the crop leaves out as a grey haze instead of not at all. */
  dimmed = false;
  private gl: GL | undefined;
  private program!: Program;
  private textures!: { centers: WebGLTexture; shapes: WebGLTexture; colors: WebGLTexture };
  private indices!: WebGLBuffer;
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
    };
    this.array = gl.createVertexArray();
    this.indices = gl.createBuffer();
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.indices);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribIPointer(0, 1, gl.UNSIGNED_INT, 0, 0);
    gl.vertexAttribDivisor(0, 1);
    gl.bindVertexArray(null);
    if (this.order) this.show({ order: this.order, colors: this.colors });
  }

  show({ order, colors }: Sorted): void {
    this.order = order;
    this.colors = colors ?? this.colors;
    this.drawn = order.length;
    const gl = this.gl;
    if (!gl || gl.isContextLost()) return;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.indices);
    gl.bufferData(gl.ARRAY_BUFFER, order, gl.DYNAMIC_DRAW);
    if (colors) {
      gl.bindTexture(gl.TEXTURE_2D, this.textures.colors);
      upload(gl, gl.RED_INTEGER, gl.UNSIGNED_INT, colors, 1);
    }
  }

  release(gl: GL): void {
    freed(gl, { arrays: [this.array], buffers: [this.indices], textures: Object.values(this.textures) });
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
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, this.drawn);
    gl.bindVertexArray(null);
  }
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
