// Puts newer parts of the status page in their place; the page is complete without this.
const events = new EventSource('/api/events?as=page')
events.addEventListener('page', (event) => {
  const fresh = new DOMParser().parseFromString(event.data, 'text/html')
  for (const part of fresh.querySelectorAll('[id]')) {
    const old = document.getElementById(part.id)
    // Unchanged parts stay, so that text selected in them stays selected.
    if (old && old.outerHTML !== part.outerHTML) old.replaceWith(part)
  }
})
events.addEventListener('error', () => {
  const now = document.getElementById('now')
  if (now) now.textContent = 'No connection to tailflux; trying again.'
})
