#version 300 es
precision highp float;

in vec2 place;
flat in vec4 color;
out vec4 drawn;

void main() {
  float alpha = min(0.999, color.a * exp(-0.5 * dot(place, place)));
  if (alpha < 1.0 / 255.0) discard;
  drawn = vec4(color.rgb * alpha, alpha);
}
