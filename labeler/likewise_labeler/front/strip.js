// Strip: an image, and up to nine groups that it may belong to, with digits. The nearest member of
// each is shown large enough to judge, a few more small; the likeliest one lies beside the image.

const DIGITS = "123456789";

class StripScene extends TilesScene {
  /** choose(at): the group at this place was chosen. */
  constructor(choose) {
    super((id) => choose(this.screen.candidates.findIndex((each) => each.id === id)), DIGITS);
    this.aspect = 1.6;
    this.root.classList.add("strip");
    this.tiles.setAttribute("aria-label", "Groups");
  }

  show(screen, pictures, past) {
    super.show(screen, pictures, past);
    this.root.classList.toggle("single", screen.candidates.length === 1);
  }

  /** Show a group's nearest member large; null: the likeliest one's. */
  lookAt(id) {
    super.lookAt(id ?? this.screen.candidates[0].id);
  }

  _tile(about, digit) {
    const tile = super._tile(about, digit);
    const small = (about.further ?? []).filter((each) => this.pictures.image(each.thumb));
    const further = make("span", { class: "further" }, ...small.map((each) => picture(each, this.pictures.image(each.thumb))));
    tile.append(make("span", { class: "inside" }, tile.querySelector("img, .broken"), ...(small.length ? [further] : [])));
    tile.addEventListener("focus", () => this.lookAt(about.id));
    return tile;
  }
}
