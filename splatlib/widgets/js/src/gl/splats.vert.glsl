#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp usampler2D;

// EWA splatting (Zwicker et al. 2002) with the conventions of splatlib/render/cpu/projection.py: 0.3 px² on the screen
// covariance, the Jacobian's position clamped to 1.3 times the view, cut where alpha falls under 1/255.
uniform sampler2D centers;
uniform usampler2D shapes;
uniform usampler2D colors;
uniform usampler2D order;
uniform mat3 camFromWorld;
uniform vec3 eye;
uniform float focal;
uniform vec2 size;
uniform float near;
uniform bool cropped;
uniform bool dimmed;
uniform mat3 boxFromWorld;
uniform vec3 boxCenter;
uniform vec3 boxHalf;

out vec2 place;
flat out vec4 color;

void main() {
  gl_Position = vec4(0.0, 0.0, 2.0, 1.0);
  int quad = gl_VertexID >> 2;
  uint index = texelFetch(order, ivec2(quad & 2047, quad >> 11), 0).r;
  ivec2 at = ivec2(int(index & 2047u), int(index >> 11));
  uint rgba = texelFetch(colors, at, 0).r;
  color = vec4(rgba & 255u, (rgba >> 8) & 255u, (rgba >> 16) & 255u, rgba >> 24) / 255.0;
  if (color.a * 255.0 <= 1.0) return;
  vec3 center = texelFetch(centers, at, 0).xyz;
  if (cropped && any(greaterThan(abs(boxFromWorld * (center - boxCenter)), boxHalf))) {
    if (!dimmed) return;
    color = vec4(mix(color.rgb, vec3(dot(color.rgb, vec3(0.3, 0.5, 0.2))), 0.8), color.a * 0.12);
    if (color.a * 255.0 <= 1.0) return;
  }
  vec3 p = camFromWorld * (center - eye);
  if (p.z <= near) return;

  uvec4 shape = texelFetch(shapes, at, 0);
  vec4 q = normalize(vec4(unpackSnorm2x16(shape.x), unpackSnorm2x16(shape.y)));
  vec3 s = exp(vec3(unpackHalf2x16(shape.z), unpackHalf2x16(shape.w).x));
  mat3 axes = mat3(
    1.0 - 2.0 * (q.y * q.y + q.z * q.z), 2.0 * (q.x * q.y + q.w * q.z), 2.0 * (q.x * q.z - q.w * q.y),
    2.0 * (q.x * q.y - q.w * q.z), 1.0 - 2.0 * (q.x * q.x + q.z * q.z), 2.0 * (q.y * q.z + q.w * q.x),
    2.0 * (q.x * q.z + q.w * q.y), 2.0 * (q.y * q.z - q.w * q.x), 1.0 - 2.0 * (q.x * q.x + q.y * q.y));
  mat3 m = camFromWorld * mat3(axes[0] * s.x, axes[1] * s.y, axes[2] * s.z);

  vec2 limit = 1.3 * size / (2.0 * focal);
  vec2 slope = clamp(p.xy / p.z, -limit, limit);
  float j = focal / p.z;
  vec3 ux = j * (vec3(m[0].x, m[1].x, m[2].x) - slope.x * vec3(m[0].z, m[1].z, m[2].z));
  vec3 uy = j * (vec3(m[0].y, m[1].y, m[2].y) - slope.y * vec3(m[0].z, m[1].z, m[2].z));
  float a = dot(ux, ux) + 0.3;
  float b = dot(ux, uy);
  float c = dot(uy, uy) + 0.3;
  float middle = 0.5 * (a + c);
  float spread = length(vec2(0.5 * (a - c), b));
  float major = middle + spread;
  float minor = max(middle - spread, 1e-6);
  vec2 axis = abs(b) > 1e-9 ? normalize(vec2(b, major - a)) : (a >= c ? vec2(1.0, 0.0) : vec2(0.0, 1.0));

  vec2 corner = vec2(float(gl_VertexID & 1) * 2.0 - 1.0, float(gl_VertexID & 2) - 1.0);
  place = corner * sqrt(2.0 * log(255.0 * color.a));
  vec2 pixel = place.x * sqrt(major) * axis + place.y * sqrt(minor) * vec2(-axis.y, axis.x) + focal * p.xy / p.z;
  gl_Position = vec4(2.0 * pixel.x / size.x, -2.0 * pixel.y / size.y, 0.0, 1.0);
}
