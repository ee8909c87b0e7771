// Stars that lie ready: what the page shows of each, as the server would send it. At a key one is
// painted at once; the server is told, follows, and sends what differs (views/ring.py).

// Tell whether two sets of columns say the same, down to the last number.
function are_alike(one, other) {
  const names = Object.keys(one)
  return names.length === Object.keys(other).length && names.every(name => {
    const [left, right] = [one[name], other[name]]
    if (left === right) return true
    if (left?.length === undefined || left.length !== right?.length) return false
    for (let i = 0; i < left.length; i++) if (!Object.is(left[i], right[i])) return false
    return true
  })
}

class Ring {
  constructor(document_of) {
    this.document_of = document_of // a function: the page may not be there yet
    this.packets = new Map()
    this.steps = {}
  }
  take_over({keep, steps, packets}) {
    for (const packet of packets) this.packets.set(packet.name, packet)
    for (const name of this.packets.keys()) if (!keep.includes(name)) this.packets.delete(name)
    this.steps = steps
  }
  // Places on the page that no star moved before: with the others it was as it is now.
  learn(values) {
    for (const packet of this.packets.values()) packet.values.push(...values)
  }
  // Paint the star that a key leads to; the name of its packet, empty when none lies ready.
  go(painted, step) {
    const page = this.document_of()
    const packet = this.packets.get(this.steps[painted]?.[step])
    if (!packet || !page) return ""
    const values = []
    for (const [id, attr, value] of packet.values) {
      const model = page.get_model_by_id(id)
      if (!model) return ""
      values.push([model, attr, value])
    }
    for (const [model, attr, value] of values) {
      const is_data = attr === "data" && model.columns !== undefined
      if (is_data && are_alike(model.data, value)) continue
      model.setv({[attr]: value}, is_data ? {sync: false, check_eq: false} : {sync: false})
    }
    return packet.name
  }
}
