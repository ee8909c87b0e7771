// Before the first figure is made: what quickens the painting of a star quickens that of the page.
import {quicken_painting} from "./painting.js"

quicken_painting()
