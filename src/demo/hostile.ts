/** Texts that try to break out of a line, a tag, a column or a page. */

/** First labels of device names. */
export const HOSTILE_NAMES: readonly string[] = [
  'web,kind=exit',
  'rack 2 unit 7',
  'cache=3',
  'say "db" or \'db\'',
  'two\nlines',
  'tab\tand\rreturn',
  'back\\slash',
  'trailing\\',
  'größe-žluť-ñ',
  '机器-七',
  '🦊-box',
  'nul\u0000byte',
  'line\u2028separator\u2029',
  'next\u0085line',
  'lone\ud800surrogate',
  'x'.repeat(10_000),
  '',
  "'; drop table lines; --",
  '<script>alert(1)</script>',
  '#comment',
  'none',
  '\u202eright-to-left',
  // 256 bytes end in the middle of the emoji.
  `${'a'.repeat(255)}🦊`,
  '\\,\\ \\=',
  '{{field}} %s $(id)',
]

/** Ends of a connection that no parser takes; kept as text, whole. */
export const HOSTILE_ADDRESSES: readonly string[] = [
  'not-an-address',
  '100.99.888.77',
  '=weird, tag chars\\\n',
  '100.xx.yy.zz',
  'fd7a:115c:a1e0::dead:beef',
]

export const HOSTILE_PROTOS: readonly (number | string)[] = ['tcp', 'UDP', 'my proto,=\\', 'icmpv4', 200, 253]
