// Puts the app into the cell of a notebook, as a frame, or says why it cannot be there.
{
  const LOOK_EVERY = 3000 // ms
  const box = document.currentScript.previousElementSibling
  const address = new URL(box.dataset.address)
  const least = Number(box.dataset.least) // pixels that the page is laid out for
  // Browsers put a frame of another site to sleep: it takes the name that the notebook goes by.
  if (location.hostname === "127.0.0.1") address.hostname = location.hostname
  if (document.body.dataset.jpThemeLight === "false") address.searchParams.set("theme", "dark")

  const words = box.firstElementChild
  let frame = null

  const show = () => {
    words.hidden = true
    if (frame) return
    frame = document.createElement("iframe")
    frame.title = "BHB vetting"
    frame.allow = "clipboard-write"
    frame.style.cssText = "border:0;transform-origin:0 0"
    const fit = () => { // a narrow cell has the whole page, drawn smaller
      const scale = Math.min(1, box.clientWidth / least) || 1
      frame.style.width = `${box.clientWidth / scale}px`
      frame.style.height = `${box.clientHeight / scale}px`
      frame.style.transform = scale < 1 ? `scale(${scale})` : "none"
    }
    fit()
    new ResizeObserver(fit).observe(box)
    frame.src = address.href
    box.append(frame)
  }

  const explain = () => {
    const there = `${address.port}:localhost:${address.port}`
    words.textContent =
      `Nothing answers at ${address.host}. If the kernel ended since, run this cell again. ` +
      `If Jupyter runs on another computer, type  ssh -L ${there} NAME-OF-THAT-COMPUTER  ` +
      "on yours."
    words.hidden = false
  }

  const look = () => {
    if (!box.isConnected) clearInterval(looking) // the cell was run again
    else fetch(new URL("/favicon.ico", address), {mode: "no-cors"}).then(show, explain)
  }
  const looking = setInterval(look, LOOK_EVERY)
  look()
}
