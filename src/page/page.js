// Replaces the parts of the status page that changed and draws the plot; the page is complete without this script.

/** Makes `old` like `fresh`, touching only what differs: focus, selection and scrolling stay. */
function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName || old.id !== fresh.id) return old.replaceWith(fresh)
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data
    return
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name)
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value)
  if (old.hasAttribute('data-keep')) return
  const [here, target] = [[...old.childNodes], [...fresh.childNodes]]
  for (const [index, child] of target.entries()) {
    if (here[index]) morph(here[index], child)
    else old.append(child)
  }
  for (const child of here.slice(target.length)) child.remove()
}

const KINDS = [
  { name: 'virtual', dash: [] },
  { name: 'subnet', dash: [8, 3] },
  { name: 'exit', dash: [3, 3] },
  { name: 'physical', dash: [1, 3] },
]
const PLOT_HEIGHT = 208

function bitRate(bytesPerSecond) {
  const units = ['bps', 'kbps', 'Mbps', 'Gbps', 'Tbps']
  let value = bytesPerSecond * 8
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

let plot
let drawn = ''

/** Draws the series that the server put beside the plot, unless they are already drawn. */
function draw(isForced = false) {
  const place = document.getElementById('plot')
  if (!place || typeof uPlot === 'undefined') return
  const text = place.dataset.series
  const isLost = plot !== undefined && plot.root.parentNode !== place
  if (text === drawn && !isForced && !isLost) return
  drawn = text
  const series = JSON.parse(text)
  const times = series.virtual.map((_, index) => series.from + index * series.step)
  const data = [times, ...KINDS.map(({ name }) => series[name])]
  if (isForced || isLost) {
    plot?.destroy()
    plot = undefined
  }
  if (plot) return plot.setData(data)
  const style = getComputedStyle(document.body)
  const resolve = (name) => {
    // A canvas knows no light-dark(): the browser resolves it on an element.
    const probe = document.createElement('i')
    probe.style.color = `var(--${name})`
    place.append(probe)
    const { color } = getComputedStyle(probe)
    probe.remove()
    return color
  }
  const [dim, rule] = [resolve('dim'), resolve('rule')]
  // As large as the small text of the page, whatever the browser makes of that.
  const px = 0.8 * Number.parseFloat(style.fontSize)
  const font = `${px}px ${style.fontFamily || 'sans-serif'}`
  const axis = { stroke: dim, font, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1, size: 6 } }
  plot = new uPlot(
    {
      width: place.clientWidth,
      height: PLOT_HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'),
      scales: { y: { range: (_plot, _min, max) => [0, Math.max(max ?? 0, 125) * 1.05] } },
      axes: [
        {
          ...axis,
          size: 2 * px + 10,
          space: 5 * px,
          values: (_plot, ticks) => ticks.map((tick) => clock(tick, false)),
        },
        { ...axis, size: widest, space: 3 * px, values: (_plot, ticks) => ticks.map(bitRate) },
      ],
      series: [
        {},
        ...KINDS.map(({ name, dash }) => ({
          label: name,
          stroke: resolve(name),
          width: 2,
          dash,
          points: { show: false },
        })),
      ],
      hooks: { setCursor: [showValues] },
    },
    data,
    place,
  )
}

/** The width of an axis with these labels: each is whole, whatever the font. */
function widest({ axes, ctx }, labels, index) {
  const { font, ticks, gap } = axes[index]
  ctx.font = font[0]
  const widths = (labels ?? []).map((label) => ctx.measureText(label).width / devicePixelRatio)
  return Math.ceil(Math.max(0, ...widths) + ticks.size + gap)
}

function clock(seconds, hasSeconds = true) {
  return new Date(seconds * 1000).toISOString().slice(11, hasSeconds ? 19 : 16)
}

/** Shows the values under the pointer as text. */
function showValues({ data, cursor: { idx } }) {
  const place = document.getElementById('traffic-at')
  if (!place) return
  const time = idx == null ? undefined : data[0][idx]
  place.textContent =
    time === undefined
      ? ''
      : `${clock(time)} UTC: ${KINDS.map(({ name }, index) => {
          const value = data[index + 1][idx]
          return `${name} ${value == null ? 'no data' : bitRate(value)}`
        }).join(', ')}`
}

const events = new EventSource('api/events?as=page')
events.addEventListener('page', (event) => {
  document.body.classList.remove('stale')
  const fresh = new DOMParser().parseFromString(`<main>\n${event.data}\n</main>`, 'text/html').querySelector('main')
  const values = document.getElementById('traffic-at')?.textContent
  morph(document.querySelector('main'), fresh)
  const place = document.getElementById('traffic-at')
  if (place && values) place.textContent = values
  const word = document.querySelector('#headline b')?.textContent
  if (word) document.title = `${word} · tailflux`
  draw()
})
events.addEventListener('error', () => {
  document.body.classList.add('stale')
  const now = document.getElementById('now')
  if (now) now.textContent = 'No connection to tailflux; retrying.'
})

document.documentElement.classList.add('js')
draw()
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => draw(true))
new ResizeObserver(() => {
  const place = document.getElementById('plot')
  if (plot && place && place.clientWidth > 0 && place.clientWidth !== plot.width)
    plot.setSize({ width: place.clientWidth, height: PLOT_HEIGHT })
}).observe(document.body)
