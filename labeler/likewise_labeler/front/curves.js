// Shows a drawing that was made, and escaped, on the server.
export default function ({ data, parentElement }) {
  const place = parentElement.querySelector(".drawing");
  if (place.dataset.shown !== data.html) {
    place.innerHTML = data.html;
    place.dataset.shown = data.html;
  }
}
